"""An archive that torch.export.save wrote elsewhere, taken apart without torch.

It holds more than ours: sample inputs as a pickle, names and lines of the source, a device. What of
it a program needs is plain JSON and raw bytes, which the screen judges as it judges ours.
"""

import contextlib
import itertools
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .._json import read_json
from .._zip import first_member, spans
from ..programs import Port
from ._names import MODEL

SHAPELESS = "no tensor"
OF_NUMPY = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32"}
OF_NUMPY |= {8: "float64", 9: "uint32", 10: "complex64", 11: "complex128", 12: "bool"}
OF_NUMPY |= {13: "bfloat16", 28: "uint16", 34: "uint32", 35: "uint64"}
"""By torch._export.serde.schema.ScalarType."""
LEAF: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
EXPORT = "torch.export.save(torch.export.export(model.eval(), …), path)"
MODES = ("train", "training")
"""What operators call their mode."""
OTHERS = {
    ("data/aotinductor/",): "holds native code that AOTInductor compiled, which nothing here can "
    "look into; adopt the program that it was compiled from: {export}",
    ("serialized_exported_program.json", "serialized_state_dict"): "is a .pt2 from before torch "
    "2.8, which keeps its weights in a pickle; load it in the version that wrote it, and save it "
    "again with torch 2.8 or later",
}
"""What else is called .pt2, or is a program of torch's, by a member's beginning; and what to do."""


class Archive:
    """The one program of an archive. Raises ValueError for what is no such archive."""

    def __init__(self, path: Path):
        self.path = path
        refuse_others(members_of(path))
        self.spans = spans(path)
        roots = {name.partition("/")[0] for name in self.spans}
        if len(roots) != 1:
            raise ValueError(f"has {len(roots)} folders at its top, expected one, as torch writes")
        self.root = roots.pop()
        programs = [
            m[1] for name in self.spans if (m := re.fullmatch(r"[^/]*/models/(.+)\.json", name))
        ]
        if len(programs) > 1 and MODEL not in programs:
            raise ValueError(
                f"holds the programs {', '.join(sorted(programs))}, expected one, or one that is "
                f"called {MODEL}; save the one that predicts by itself"
            )
        if not programs:
            raise ValueError(f"holds no program, expected what {EXPORT} writes")
        self.name = MODEL if MODEL in programs else programs[0]
        self.left_out = sorted(set(programs) - {self.name})

    def json(self, member: str) -> Any:
        """Returns the content of a member."""
        span = self.spans.get(f"{self.root}/{member}")
        if span is None:
            raise ValueError(f"lacks {member}, expected what {EXPORT} writes")
        return read_json(self.path, span, member)

    def program(self) -> "Graph":
        """Returns the program's description."""
        return Graph(self.json(f"models/{self.name}.json"))

    def payloads(self, folder: str) -> Any:
        """Returns what the archive says of its `weights` or `constants`."""
        return self.json(f"data/{folder}/{self.name}_{folder}_config.json")


def members_of(path: Path) -> list[str]:
    """Returns the names in a zip archive below its first folder, of one that is cut off the first;
    none of what is no zip archive."""
    if not path.is_file():
        return []
    first, names = first_member(path), list[str]()
    unreadable = (zipfile.BadZipFile, OSError, NotImplementedError, ValueError)
    with contextlib.suppress(*unreadable), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if not set(first) <= set(names):  # an archive within this one is what is left whole
        names = first
    return [each.partition("/")[2] or each for each in names]


def is_program(members: Iterable[str]) -> bool:
    """Returns whether they are of a program of torch.export, in whichever version."""
    known = ("archive_format", "data/weights/", "data/constants/", *itertools.chain(*OTHERS))
    return any(
        name.startswith(known) or (name.startswith("models/") and name.endswith(".json"))
        for name in members
    )


def refuse_others(members: Iterable[str]) -> None:
    """Raises ValueError for another kind of archive that holds a program."""
    for begins, text in OTHERS.items():
        if any(name.startswith(begins) for name in members):
            raise ValueError(text.format(export=EXPORT))


class Graph:
    """A program's JSON. Lookup errors are those of a file that is laid out otherwise."""

    def __init__(self, content: dict[str, Any]):
        self.content = content
        self.module = content["graph_module"]
        self.values = self.module["graph"]["tensor_values"]
        (self.call,) = (each for each in self.module["module_call_graph"] if not each["fqn"])

    def inputs(self) -> dict[str, Port]:
        """Returns what the program takes, in its order. Raises ValueError for other things."""
        ports = {}
        for spec in self.module["signature"]["input_specs"]:
            if "constant_input" in spec:
                raise ValueError(
                    f"takes the constant {spec['constant_input']['name']} beside tensors; export "
                    "a module that is called with tensors alone"
                )
            if "user_input" in spec:
                name = self._tensor(spec["user_input"]["arg"], "takes")
                ports[name] = self._port(name)
        return ports

    def outputs(self) -> dict[str, Port]:
        """Returns what it answers: by the keys of a dict, else by number, or as `output`."""
        names = [
            self._tensor(spec["user_output"]["arg"], "answers")
            for spec in self.module["signature"]["output_specs"]
            if "user_output" in spec
        ]
        return dict(zip(self._keys(len(names)), map(self._port, names), strict=True))

    def in_training_mode(self) -> list[str]:
        """Returns what the program does as in training: buffers that it changes, and operators that
        are told so."""
        specs = self.module["signature"]["output_specs"]
        changed = [s["buffer_mutation"]["buffer_name"] for s in specs if "buffer_mutation" in s]
        drawing = [
            node["target"].removeprefix("torch.ops.")
            for node in self.module["graph"]["nodes"]
            if any(i["name"] in MODES and i["arg"] == {"as_bool": True} for i in node["inputs"])
        ]
        return [*changed, *drawing]

    def _tensor(self, argument: Mapping[str, Any], does: str) -> str:
        if "as_tensor" not in argument:
            raise ValueError(f"{does} {', '.join(argument)}, expected tensors alone")
        return str(argument["as_tensor"]["name"])

    def _port(self, name: str) -> Port:
        meta = self.values[name]
        dtype = OF_NUMPY.get(meta["dtype"], f"torch's number {meta['dtype']}")
        return Port(dtype, tuple(each.get("as_int") for each in meta["sizes"]))

    def _keys(self, count: int) -> list[str]:
        tree = json.loads(self.call["signature"]["out_spec"])[1]
        if tree["type"] in ("builtins.dict", "collections.OrderedDict"):
            keys = json.loads(tree["context"])
            if len(keys) == count and all(isinstance(each, str) for each in keys):
                return list(keys)
        return ["output"] if count == 1 else [f"output_{n}" for n in range(count)]

    def keep(self, outputs: Iterable[str]) -> None:
        """Makes it a program of tensors in order, which answers these of its outputs alone, without
        what tells of its source."""
        wanted, graph = list(outputs), self.module["graph"]
        numbers = {name: n for n, name in enumerate(self.outputs())}
        taken = list(self.inputs())
        signature = self.call["signature"]
        nested = signature["forward_arg_names"] != taken
        for holder, key in ((graph, "outputs"), (self.module["signature"], "output_specs")):
            holder[key] = [holder[key][numbers[name]] for name in wanted]
        arguments = _tuple([LEAF] * len(taken))
        keywords = {"type": "builtins.dict", "context": "[]", "children_spec": []}
        signature["in_spec"] = _tree(_tuple([arguments, keywords]))
        signature["out_spec"] = _tree(LEAF if len(wanted) == 1 else _tuple([LEAF] * len(wanted)))
        signature["forward_arg_names"] = taken
        if nested:  # they name arguments that there are no more; the sizes' bounds stay
            self.content["guards_code"] = []
        self.module["module_call_graph"] = [self.call]
        self.module["metadata"] = self.module["treespec_namedtuple_fields"] = {}
        _forget(graph)


def _tuple(children: list[Any]) -> dict[str, Any]:
    return {"type": "builtins.tuple", "context": "null", "children_spec": children}


def _tree(tree: dict[str, Any]) -> str:
    return json.dumps([1, tree])


def _forget(graph: Mapping[str, Any]) -> None:
    """Clears what nodes say of their source, those of graphs within the graph included."""
    waiting: list[Any] = [graph]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "target" in value and "metadata" in value:
                value["metadata"] = {}
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def brought_home(content: Any) -> set[str]:
    """Moves all that is on a GPU to the CPU; returns the devices that it was on."""
    devices, waiting = set(), [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if set(value) == {"type", "index"} and value["type"] in ("cuda", "mps", "xpu"):
                index = value["index"]
                devices.add(value["type"] if index is None else f"{value['type']}:{index}")
                value |= {"type": "cpu", "index": None}
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return devices
