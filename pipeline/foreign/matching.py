"""Every tensor of a model gets the one of the checkpoint that is meant for it, or none does.

No framework is known here: a tensor is its name, shape and dtype.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ParamsError
from pipeline.frameworks.contract import Spec
from pipeline.text import escaped

from ._misfits import Misfits, error
from ._patterns import Renaming, fitting
from ._prefixes import own_names

FLOATS = ("float16", "bfloat16", "float32", "float64")
"""Each is brought to each."""
EXACT = {(a, b) for b in FLOATS[2:] for a in FLOATS[: FLOATS.index(b)]}
"""Of these pairs the second holds all numbers that the first does."""
INTEGERS = {
    "int8": 7,
    "uint8": 8,
    "int16": 15,
    "uint16": 16,
    "int32": 31,
    "uint32": 32,
    "int64": 63,
}
"""Of the largest; a narrower one is brought to a wider one, which holds all that it does."""
COUNTS = {"n_averaged": "the count of steps of torch's AveragedModel"}
"""What stands beside the tensors of a net and belongs to no net -> what it is."""
SHOWN = 5


@dataclass(frozen=True)
class Match:
    """Which tensor of a checkpoint each tensor of a model gets."""

    pairs: Mapping[str, str]
    """The model's name -> that in the checkpoint."""
    new: tuple[str, ...]
    """The model's that keep their initial values."""
    left_out: tuple[str, ...]
    """The checkpoint's that nothing gets, for somebody said so."""
    notes: tuple[str, ...]
    """Sentences on what was done to names and dtypes."""


def match(
    specs: Mapping[str, Spec],
    weights: Mapping[str, Any],
    rename: Mapping[str, str | None] | None = None,
    new_weights: Sequence[str] = (),
) -> Match:
    """Returns the match, in which none is missing and none is left over.

    Raises ModelError, one line with a table as its notes, where there is none such; ParamsError,
    one line, for a pattern that fits nothing.
    """
    there = {name: Spec(tuple(map(int, w.shape)), _dtype(w)) for name, w in weights.items()}
    names, notes = _named(specs, there, rename or {})
    new = fitting("train.new_weights", new_weights, specs)
    _demand_whole_ties(specs, new)
    pairs: dict[str, str] = {}
    left: dict[str, str] = {}
    gone: list[str] = []
    for name, own in names.items():
        if own is None or own in new:
            gone.append(name)
        elif own in COUNTS and own not in specs:
            notes.append(f"{name}, {COUNTS[own]}, is left out")
            gone.append(name)
        elif own in specs and own not in pairs:
            pairs[own] = name
        else:
            left[name] = own
    notes += _tie(specs, pairs)
    misfits = Misfits(
        missing=[name for name in specs if name not in pairs and name not in new],
        misshaped=[own for own, name in pairs.items() if not _fits(specs[own], there[name])],
        left=left,
        pairs=pairs,
    )
    if misfits:
        raise error(misfits, specs, there)
    _demand_some(specs, pairs)
    notes += [*_of_dtypes(specs, there, pairs), *_of_new(new), *_of_left_out(gone)]
    return Match(pairs, tuple(sorted(new)), tuple(gone), tuple(map(escaped, notes)))


def _demand_some(specs: Mapping[str, Spec], pairs: Mapping[str, str]) -> None:
    if specs and not pairs:
        raise ParamsError(
            "train.new_weights: found patterns that fit every tensor of the net, expected some "
            "that are taken from the checkpoint; set train.start to null to train from the "
            "beginning"
        )


def _named(
    specs: Mapping[str, Spec], found: Mapping[str, Spec], rename: Mapping[str, str | None]
) -> tuple[dict[str, str | None], list[str]]:
    """Returns what the model would call each tensor, None for what is left out. A pattern fits the
    name in the checkpoint or, where none does, the name without its prefix."""
    renaming = Renaming(rename)
    said = {name: renaming(name) for name in found}
    shapes = {own: found[name].shape for name, (_, own) in said.items() if own is not None}
    plain, notes = own_names(shapes, {name: spec.shape for name, spec in specs.items()})
    names: dict[str, str | None] = {}
    for name, (is_said, own) in said.items():
        if own is None:
            names[name] = None
        else:
            names[name] = plain[own] if is_said else renaming(plain[own])[1]
    renaming.demand_used(found)
    return names, notes


def _demand_whole_ties(specs: Mapping[str, Spec], new: set[str]) -> None:
    for name, spec in specs.items():
        if spec.same_as and (name in new) != (spec.same_as in new):
            raise ParamsError(
                f"train.new_weights: {name} and {spec.same_as} are one tensor under two names, "
                "expected both or neither; name the other, too"
            )


def _tie(specs: Mapping[str, Spec], pairs: dict[str, str]) -> list[str]:
    """Gives each name that the checkpoint lacks what another name of the same tensor has."""
    names_of: dict[str, list[str]] = {}
    for name, spec in specs.items():
        names_of.setdefault(spec.same_as or name, []).append(name)
    notes = []
    for names in names_of.values():
        there = [name for name in names if name in pairs]
        for name in names if there else ():
            if name not in pairs:
                notes.append(
                    f"{name} is the same tensor as {there[0]}, under which the checkpoint has it"
                )
                pairs[name] = pairs[there[0]]
    return notes


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _fits(spec: Spec, found: Spec) -> bool:
    if spec.shape != found.shape:
        return False
    if spec.dtype in INTEGERS and found.dtype in INTEGERS:
        same_sign = spec.dtype[0] == found.dtype[0] or found.dtype[0] == "u"
        return same_sign and INTEGERS[found.dtype] <= INTEGERS[spec.dtype]
    return spec.dtype == found.dtype or (spec.dtype in FLOATS and found.dtype in FLOATS)


def _of_dtypes(
    specs: Mapping[str, Spec], found: Mapping[str, Spec], pairs: Mapping[str, str]
) -> list[str]:
    changes: dict[tuple[str, str], list[str]] = {}
    for own, name in pairs.items():
        if found[name].dtype != specs[own].dtype:
            changes.setdefault((found[name].dtype, specs[own].dtype), []).append(own)
    notes = []
    for (its, ours), names in changes.items():
        how = "exactly" if its in INTEGERS or (its, ours) in EXACT else "rounded"
        notes.append(f"{_counted(names)} are {its} in the checkpoint and become {ours}, {how}")
    return notes


def _of_new(new: Iterable[str]) -> list[str]:
    names = sorted(new)
    return [f"{_counted(names)} keep their initial values"] if names else []


def _of_left_out(gone: Sequence[str]) -> list[str]:
    return [f"{_counted(gone)} of the checkpoint are left out"] if gone else []


def _counted(names: Sequence[str]) -> str:
    more = ", …" if len(names) > SHOWN else ""
    return f"{len(names)} tensors ({', '.join(names[:SHOWN])}{more})"
