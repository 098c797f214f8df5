"""Makes C++ of the program that predicts: python3 compile.py MODEL.pt2 FOLDER

FOLDER gets model.cpp, the `flags` to compile it with, constants.o, which is empty, and weights.h,
which says where in MODEL.pt2 the weights lie: they are read from there.
"""

import json
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SETTINGS = {
    "aot_inductor.package_cpp_only": True,
    "aot_inductor.package_constants_in_so": False,
    "aot_inductor.precompile_headers": False,
    "cpp.dynamic_threads": True,
    "cpp.vec_isa_ok": True,  # what compiles model.cpp would say otherwise
    "compile_threads": 1,
}
NAME = "model"


Place = tuple[str, int]


def main(model: str, folder: Path, scratch: str) -> None:
    from torch._inductor import aoti_compile_and_package
    from torch.export.pt2_archive._package import load_pt2

    program = load_pt2(model).exported_programs[NAME]
    program.example_inputs = described(program)
    package = aoti_compile_and_package(
        program, package_path=f"{scratch}/package.pt2", inductor_configs=SETTINGS
    )
    with zipfile.ZipFile(package) as made:
        contents = {name: made.read(name) for name in made.namelist()}
    write(folder, contents, {**program.state_dict, **program.constants}, places(model))


def described(program: Any) -> Any:
    """Returns inputs of no values: model.pt2 has none, and what is read of them is their shapes."""
    from torch.utils._pytree import tree_unflatten

    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    given = [values[name] for name in program.graph_signature.user_inputs]
    return tree_unflatten(given, program.call_spec.in_spec)


def write(
    folder: Path, contents: Mapping[str, bytes], tensors: Any, places: Mapping[str, Place]
) -> None:
    def one(end: str) -> bytes:
        (name,) = (name for name in contents if name.endswith(end))
        return contents[name]

    text = one(".wrapper.cpp").decode()
    if "aoti_torch_proxy_executor_call_function(" in text:
        sys.exit(f"error: AOTInductor makes no C++ of {', '.join(sorted(interpreted(contents)))}")
    for name in re.findall(r'original_fqn = "([^"]*)";', text):
        if name not in places:
            sys.exit(f"error: the compiled program reads {name}, which model.pt2 does not hold")
    rows = [row(name, tensors[name], place) for name, place in places.items()]
    (folder / "weights.h").write_text(HEAD + "".join(rows) + "  {NULL},\n};\n")
    (folder / "flags").write_text("\n".join(flags(json.loads(one("wrapper_compile_flags.json")))))
    (folder / "constants.o").write_bytes(one(".weights.o"))
    (folder / "model.cpp").write_text(text)


def interpreted(contents: Mapping[str, bytes]) -> set[str]:
    """Returns the operators that torch would look up by name while the program runs."""
    listed = [json.loads(text) for name, text in contents.items() if name.endswith(".wrapper.json")]
    return {each["node"]["target"] for nodes in listed for each in nodes["nodes"]}


def flags(given: Mapping[str, list[str]]) -> list[str]:
    macros = [f"-D{each.strip()}" for each in given["definitions"]]
    more = [each for text in given["passthrough_args"] for each in text.split()]
    return [*macros, *(f"-{each}" for each in given["cflags"] if each != "g1"), *more, "-w"]


def places(model: str) -> dict[str, Place]:
    """Returns which member of the archive has each tensor, and where in it."""
    lying = {}
    with zipfile.ZipFile(model) as archive:
        root = archive.namelist()[0].partition("/")[0]
        for kind in ("weights", "constants"):
            config = json.loads(archive.read(f"{root}/data/{kind}/{NAME}_{kind}_config.json"))
            for name, each in config["config"].items():
                offset = each["tensor_meta"]["storage_offset"]["as_int"]
                lying[name] = f"data/{kind}/{each['path_name']}", offset
    return lying


HEAD = """// Where model.pt2 has its weights.
static const struct {
  const char *name, *member;
  int64_t offset;
  int32_t (*type)(void);
  int rank;
  int64_t sizes[16], strides[16];
} WEIGHTS[] = {
"""


def row(name: str, tensor: Any, place: Place) -> str:
    dtype = str(tensor.dtype).removeprefix("torch.")
    sizes, strides = (", ".join(map(str, each)) for each in (tensor.shape, tensor.stride()))
    words = f"{json.dumps(name)}, {json.dumps(place[0])}, {place[1]}, aoti_torch_dtype_{dtype}"
    return f"  {{{words}, {tensor.dim()}, {{{sizes}}}, {{{strides}}}}},\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = scratch
        main(sys.argv[1], Path(sys.argv[2]), scratch)
