"""A table of what does not fit between a checkpoint and a model, with the likely reason of each."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice

from pipeline.errors import ModelError
from pipeline.frameworks.contract import Spec
from pipeline.text import escaped

from ._patterns import heads, parts

Specs = Mapping[str, Spec]
Row = tuple[str, ...]
ROWS = 20
COMPARED = 200
"""Candidates of a shape whose names are compared with one that is missing."""
HEADER = ("in the net", "expected", "in the checkpoint", "found", "likely reason")
WORDS = {
    ("ema", "ema_model", "model_ema", "shadow", "averaged_model", "swa_model"): (
        "an average of the weights beside them (EMA)",
        True,
    ),
    ("teacher", "momentum_encoder"): ("a second net of its training", True),
    ("loss", "loss_fn", "loss_func", "criterion", "metric", "metrics"): (
        "of a loss or a metric, which is no part of the net",
        True,
    ),
    ("position_ids", "inv_freq", "masked_bias", "attn_mask"): (
        "a constant that other versions of a layer do not keep",
        True,
    ),
    ("weight_orig", "weight_mask"): (
        "pruned with torch.nn.utils.prune; call prune.remove before it is saved",
        False,
    ),
    ("weight_g", "weight_v", "original0", "original1", "parametrizations"): (
        "a parametrization, such as weight norm, which one of the two nets has",
        False,
    ),
    ("lora_a", "lora_b"): ("of an adapter (LoRA); merge it into its base first", False),
}
"""Parts of names -> what such a tensor is, and whether to leave it out is what mends it."""


@dataclass(frozen=True)
class Misfits:
    """What does not fit."""

    missing: Sequence[str]
    """The model's names."""
    misshaped: Sequence[str]
    """The same, of what is there in another shape or dtype."""
    left: Mapping[str, str]
    """The checkpoint's names -> what the model would call them."""
    pairs: Mapping[str, str]
    """The model's names -> the checkpoint's, of what is there."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.misshaped or self.left)


def error(misfits: Misfits, specs: Specs, found: Specs) -> ModelError:
    """Returns what is wrong in a line, with a row for each tensor as its notes."""
    rows = _rows(misfits, specs, found)
    shown = [HEADER, *(tuple(map(escaped, row)) for row in islice(rows, ROWS))]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in shown]
    if next(rows, None):
        lines.append("… and more")
    result = ModelError(_summary(misfits, specs, found))
    for line in lines:
        result.add_note(line)
    return result


def _summary(misfits: Misfits, specs: Specs, found: Specs) -> str:
    good = len(misfits.pairs) - len(misfits.misshaped)
    return (
        f"model.net: the checkpoint fits in {good or 'none'} of its {len(specs)} tensors, expected "
        f"all: {len(misfits.missing)} are missing, "
        f"{len(misfits.misshaped)} have another shape or dtype, and of the checkpoint's "
        f"{len(found)} {len(misfits.left)} are left over; mend names by model.rename, let weights "
        "begin anew by train.new_weights, or build the net that it is of"
    )


def _rows(misfits: Misfits, specs: Specs, found: Specs) -> Iterator[Row]:
    left = dict(misfits.left)
    for own in misfits.misshaped:
        name = misfits.pairs[own]
        reason = _of_shape(own, misfits, specs, found)
        yield own, _text(specs[own]), name, _text(found[name]), reason
    for own in misfits.missing:
        name = _alike(own, specs[own], left, found)
        if not name:
            yield own, _text(specs[own]), "-", "missing", _of_missing(own, specs)
            continue
        rename = _shortest(left.pop(name), own)
        reason = f"a renamed layer; model.rename: {{{rename}}}"
        yield own, _text(specs[own]), name, _text(found[name]), reason
    for name, own in left.items():
        yield "-", "none", name, _text(found[name]), _of_left(name, own, misfits)


def _text(spec: Spec) -> str:
    return f"{spec.dtype} {list(spec.shape)}"


def _of_shape(own: str, misfits: Misfits, specs: Specs, found: Specs) -> str:
    ours, its = specs[own].shape, found[misfits.pairs[own]].shape
    if ours == its:
        return "another kind of number, which is never converted"
    if sorted(ours) == sorted(its):
        return "a transposed kernel, as of another framework or of a Conv1D in place of a Linear"
    if math.prod(ours) == math.prod(its):
        return "the same values in another shape"
    axes = {each: _axis(each, specs[each], found[name]) for each, name in _shapes(misfits)}
    if set(axes.values()) == {"out"}:
        return (
            f"another number of classes or words; for a new head train.new_weights: [{_part(own)}]"
        )
    if list(axes.values()) == ["in"]:
        return "another number of inputs or channels"
    return "another width: the net that was trained was built with other numbers"


def _shapes(misfits: Misfits) -> list[tuple[str, str]]:
    return [(own, misfits.pairs[own]) for own in misfits.misshaped]


def _axis(own: str, spec: Spec, found: Spec) -> str:
    """Returns which axis of a layer's tensor is the only one that differs: out, in, or neither."""
    if len(spec.shape) != len(found.shape):
        return ""
    differ = [i for i, (a, b) in enumerate(zip(spec.shape, found.shape, strict=True)) if a != b]
    last = len(spec.shape) - 1
    out = last if parts(own)[-1] == "kernel" else 0
    if differ == [out]:
        return "out"
    return "in" if len(differ) == 1 else ""


def _part(own: str) -> str:
    """Returns the layer that a tensor lies in."""
    return next((head[:-1] for head in reversed(list(heads(own)))), own)


def _of_missing(own: str, specs: Specs) -> str:
    if own.endswith("num_batches_tracked"):
        return "written by torch before 0.4.1; train.new_weights: ['*.num_batches_tracked']"
    if specs[own].same_as:
        return f"tied: the same tensor as {specs[own].same_as}, which is not there either"
    return f"the net that was trained had none; train.new_weights: [{own}] begins anew"


def _alike(own: str, spec: Spec, left: Mapping[str, str], found: Specs) -> str:
    """Returns what is left over and is as this one in shape, dtype and the last part of its name,
    that with the most similar name; "" where there is none."""
    alike = [
        name
        for name, other in left.items()
        if found[name] == Spec(spec.shape, spec.dtype) and parts(other)[-1] == parts(own)[-1]
    ]
    near = {name: SequenceMatcher(None, own, left[name]).ratio() for name in alike[:COMPARED]}
    return max(near, key=lambda name: near[name], default="")


def _shortest(name: str, own: str) -> str:
    """Returns the pattern and the target that bring the one name to the other, without what both
    end with."""
    same = 0
    for its, ours in zip(reversed(parts(name)), reversed(parts(own)), strict=False):
        if its != ours:
            break
        same += 1
    layers = [list(heads(each)) for each in (name, own)]
    if not 0 < same <= min(map(len, layers)):
        return f"{name}: {own}"
    return ": ".join(each[-same][:-1] for each in layers)


def _of_left(name: str, own: str, misfits: Misfits) -> str:
    copied = next((o for o in misfits.pairs if own == o or own.endswith((f".{o}", f"/{o}"))), None)
    for words, (reason, mends) in WORDS.items():
        at = next((i for i, part in enumerate(parts(name)) if part.lower() in words), None)
        if at is not None:
            head = [*(each[:-1] for each in heads(name)), name][at]
            return f"{reason}; {_ways(head, copied is not None)}" if mends else reason
    if copied is not None:
        head = own[: len(own) - len(copied)].rstrip("./") or name
        return f"another copy of {copied}; {_ways(head, head != name)}"
    return f"the net has no such tensor; {_ways(name, False)}"


def _ways(head: str, is_set: bool) -> str:
    """Says how what begins with it is left out or, where it is a set of weights, taken."""
    leave = f"model.rename: {{{head}: null}} leaves it out"
    return f"{leave}, model.weights_of: {head} takes it" if is_set else leave
