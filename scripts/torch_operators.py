"""`python -m scripts.torch_operators`: which of torch's operators a `model.pt2` may call, and of
which of its optimizers and schedulers an `optimizer.pt` may be; after a new torch. The lists are
operators.txt, optimizers.txt and refused_operators.json in pipeline/formats/torch_export.

What torch registers is let in where it takes and gives tensors and numbers alone, unless
refused_operators.json names it or its namespace. What is in neither file is printed: whoever
commits the change has looked at each. What is no overload (of higher order, functions of Python's)
is put into one of the files by hand. `--check` writes nothing, and ends in 1 where there is any.
"""

import argparse
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "pipeline/formats/torch_export"
ALLOWED, REFUSED = FOLDER / "operators.txt", FOLDER / "refused_operators.json"
OPTIMIZERS = FOLDER / "optimizers.txt"

OPEN = ("aten", "prims")
"""Namespaces of which each operator is looked at; any other is refused as a whole."""

PLAIN = re.compile(r"(Optional\[|List\[)*(Tensor|int|bool|float|number|complex|Device)\]*")
WORDS = {
    *("rounding_mode", "reduce", "mode", "padding_mode", "padding", "equation", "approximate"),
    *("indexing", "side", "interpolation", "pad_mode", "norm", "driver", "UPLO", "ord", "p"),
    *("api_name", "assert_msg", "padding_side"),
}
"""Arguments whose texts choose among ways of computing, or stand in an error."""

BY_SIGNATURE = "Takes or gives texts, lists of anything, dicts or objects, in each overload."
BY_NAMESPACE = "A namespace: machines, files, packed weights, compilers or tests of torch's own."


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.torch_operators", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, end in 1 for a change")
    check = parser.parse_args(arguments).check
    allowed, refused = ALLOWED.read_text().split(), json.loads(REFUSED.read_text())
    schemas = registered()
    changes = differences(schemas, others(), set(allowed), refused)
    made = sorted(optimizers() - {name for names in refused.values() for name in names})
    listed = OPTIMIZERS.read_text().split() if OPTIMIZERS.is_file() else []
    changes += [f"new: {each}" for each in made if each not in listed]
    changes += [f"gone, or refused: {each}" for each in listed if each not in made]
    for line in changes:
        print(line)
    if check or not changes:
        return 1 if changes else 0
    write(schemas, allowed, refused)
    OPTIMIZERS.write_text("\n".join(made) + "\n")
    return 0


REGISTERING = (
    *("torch._prims.rng_prims", "torch.export", "torch.onnx", "torch._dynamo"),
    *("torch._inductor.lowering", "torch._inductor.compile_fx", "torch.distributed.fsdp"),
    *("torch.distributed._functional_collectives", "torch.ao.quantization.fx._decomposed"),
)
"""Modules of torch's that register operators when they are imported."""


def registered() -> dict[str, Any]:
    """Returns the schema of each overload that torch registers, by the target of its calls."""
    import torch

    for module in REGISTERING:
        importlib.import_module(module)
    return {
        f"torch.ops.{each.name.replace('::', '.')}.{each.overload_name or 'default'}": each
        for each in torch._C._jit_get_all_schemas()
    }


def others() -> set[str]:
    """Returns the operators of higher order, the functions of Python's and torch's own that a
    program may call on sizes, and those that it has for vmap; after `registered`."""
    import torch
    from torch._export.serde import serialize
    from torch._functorch import predispatch

    higher = {f"torch.ops.higher_order.{name}" for name in torch._ops._higher_order_ops}
    vmap = {each for each in vars(predispatch).values() if inspect.isfunction(each)}
    own = [each for each in vmap if each.__module__ == predispatch.__name__]
    return higher | {f"{each.__module__}.{each.__name__}" for each in (*serialize._SYM_OPS, *own)}


def optimizers() -> set[str]:
    """Returns the classes of optimizers and schedulers that torch has by name."""
    from torch import optim

    packages = {optim: optim.Optimizer, optim.lr_scheduler: optim.lr_scheduler.LRScheduler}
    return {
        f"{package.__name__}.{name}"
        for package, base in packages.items()
        for name, each in vars(package).items()
        if isinstance(each, type) and issubclass(each, base)
    }


def is_plain(schema: Any) -> bool:
    """Whether it takes and gives tensors and numbers alone, and words that choose."""
    for each in schema.arguments:
        kind = str(each.type)
        word = kind in ("str", "Optional[str]") and each.name in WORDS
        if not (word or kind == "Optional[Generator]" or PLAIN.fullmatch(kind)):
            return False
    return all(PLAIN.fullmatch(str(each.type)) for each in schema.returns)


def differences(
    schemas: dict[str, Any],
    functions: Iterable[str],
    allowed: set[str],
    refused: dict[str, list[str]],
) -> list[str]:
    """Returns a line for each that is in neither list, and for each that is let in and gone or no
    longer plain."""
    named = {name for names in refused.values() for name in names}
    known = {_name(each) for each in allowed} | named
    lines = []
    for target, schema in sorted(schemas.items()):
        if f"torch.ops.{target.split('.')[2]}" in named or _name(target) in named:
            continue
        if is_plain(schema) and target not in allowed:
            lines.append(f"new: {target}: {schema}")
        elif _name(target) not in known:
            lines.append(f"new, refused by its signature: {target}: {schema}")
    lines += [f"new: {each}" for each in sorted(functions) if each not in allowed | named]
    for target in sorted(allowed):
        overloaded = target.startswith(tuple(f"torch.ops.{space}." for space in OPEN))
        if overloaded and (target not in schemas or not is_plain(schemas[target])):
            lines.append(f"gone, or no longer of tensors and numbers: {target}")
        if _name(target) in named or target in named:
            lines.append(f"let in and refused at once: {target}")
    return lines


def write(schemas: dict[str, Any], allowed: list[str], refused: dict[str, list[str]]) -> None:
    """Brings both files up to what torch registers."""
    named = {name for names in refused.values() for name in names}
    spaces = {f"torch.ops.{target.split('.')[2]}" for target in schemas}
    closed = spaces - {f"torch.ops.{space}" for space in OPEN}
    looked_at = {t: s for t, s in schemas.items() if f"torch.ops.{t.split('.')[2]}" not in closed}
    plain = {t for t, s in looked_at.items() if is_plain(s) and _name(t) not in named}
    opened = tuple(f"torch.ops.{space}." for space in OPEN)
    kept = {each for each in allowed if not each.startswith(opened)}
    ALLOWED.write_text("\n".join(sorted(plain | kept)) + "\n")
    whole = {_name(each) for each in looked_at} - {_name(each) for each in plain} - named
    for reason, names in ((BY_SIGNATURE, whole), (BY_NAMESPACE, closed - named)):
        refused[reason] = sorted({*refused.get(reason, []), *names})
    REFUSED.write_text(json.dumps(refused, indent=1) + "\n")


def _name(target: str) -> str:
    """Returns it without its overload, where it has one."""
    return target.rpartition(".")[0] if target.count(".") == 4 else target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
