"""Sets of weights beside those that a checkpoint was saved for: averages, or another net's."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ._patterns import heads, parts
from .lazy_mapping import LazyMapping

if TYPE_CHECKING:
    from ._brought import Brought

AVERAGES = re.compile(r"ema|averag|swa|shadow", re.IGNORECASE)
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""What a batch norm has beside its parameters: averages of parameters in a list hold none of it."""
WRAPPER = "module."
TRAINED = "trained"
"""Where a training of this pipeline puts the weights that the optimizer goes on from, where what it
saves as the net is their average."""
EXTRA = "_extra_state"
"""What a module keeps beside its tensors: no tensor."""
Tensors = Mapping[str, Any]


def sets_beside(
    sets: Mapping[str, Any], raw: Mapping[str, Any], brought: "Brought", notes: list[str]
) -> dict[str, LazyMapping]:
    """Returns the sets of weights beside these, each whole."""
    result = {}
    for key, tensors in sets.items():
        named = tensors
        if isinstance(tensors, list):
            shapes = [brought.dense(key, each).shape for each in tensors]
            named = listed(
                tensors, shapes, {n: brought.dense(n, each).shape for n, each in raw.items()}
            )
        if named is None:
            notes.append(
                f"{key!r} has no names, and cannot be taken: the weights in their order have other "
                "shapes"
            )
            continue
        whole = {n: t for n, t in completed(named, raw).items() if not n.endswith(EXTRA)}
        if (more := len(whole) - len(named)) > 0:
            notes.append(f"{key!r} lacks {more} tensors, which are those of the weights")
        result[key] = LazyMapping(whole, brought)
    return result


def listed(values: list[Any], shapes: list[Any], raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns an average without names, in the order of the net's parameters, by the names of the
    weights, whose shapes are given; None where it cannot be told which is which."""
    names = [name for name in raw if parts(name)[-1] not in STATISTICS]
    if len(names) != len(values):
        return None
    same = [raw[name] for name in names] == shapes
    return dict(zip(names, values, strict=True)) if same else None


def completed(average: Tensors, raw: Tensors) -> dict[str, Any]:
    """Returns the average under the names of the weights, where it has them behind a prefix, and
    with what it has none of, such as a batch norm's statistics, from them."""
    plain = {name.removeprefix(WRAPPER): each for name, each in raw.items()}
    for weights in (raw, plain):
        for head in _prefixes(average):
            own = {n[len(head) :]: each for n, each in average.items() if n.startswith(head)}
            if own and own.keys() <= weights.keys():
                return {**weights, **own}
    return dict(average)


def _prefixes(average: Tensors) -> Iterator[str]:
    """Yields what may stand before the names of an average; the shortest first, if it says so."""
    prefixes = dict.fromkeys(head for name in average for head in heads(name))
    yield ""
    yield from sorted(prefixes, key=lambda head: (not AVERAGES.search(head), len(head)))
