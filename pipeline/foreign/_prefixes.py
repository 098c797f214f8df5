"""What a checkpoint's names have before those of the net is found by comparing the two."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from ._patterns import heads, parts

Shapes = Mapping[str, tuple[int, ...]]
WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What DataParallel, torch.compile, FSDP and activation checkpointing put into names, anywhere."""


def own_names(shapes: Shapes, own: Shapes) -> tuple[dict[str, str], list[str]]:
    """Returns what a net with the tensors `own` would call each of the checkpoint's, and notes on
    what was taken off their names or put before them."""
    names, notes = _unwrapped(shapes, own)
    begin = [head for head, _ in _tally(names, shapes, own).most_common(1)]
    if not begin or begin[0] == ("", ""):
        return names, notes
    [(off, before)] = begin
    if off:
        notes.append(f"names in the checkpoint begin with {off!r}, which is taken off")
        return {f: name.removeprefix(off) for f, name in names.items()}, notes
    notes.append(f"names in the checkpoint lack {before!r}, which the net's begin with")
    return {f: before + name if before + name in own else name for f, name in names.items()}, notes


def _tally(names: Mapping[str, str], shapes: Shapes, own: Shapes) -> Counter[tuple[str, str]]:
    """Counts, for what may be taken off and what may be put before, how many tensors then fit; of
    as many the shortest comes first. One that fits in shape counts for more than any in name."""
    tally: Counter[tuple[str, str]] = Counter({("", ""): 0})
    weight = len(names) + 1
    by_name = {name: shapes[f] for f, name in names.items()}

    def count(off: str, before: str, own_name: str, name: str) -> None:
        tally[off, before] += weight if own[own_name] == by_name[name] else 1

    for name in by_name:
        for off in ("", *heads(name)):
            if name[len(off) :] in own:
                count(off, "", name[len(off) :], name)
    for own_name in own:
        for before in heads(own_name):
            if own_name[len(before) :] in by_name:
                count("", before, own_name, own_name[len(before) :])
    shortest = sorted(tally.items(), key=lambda each: len("".join(each[0])))
    return Counter(dict(shortest))


def _unwrapped(names: Iterable[str], own: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Takes off what wrappers have put into names, but for what the net has in its own."""
    known = {part for name in own for part in parts(name)}
    taken: dict[str, None] = {}
    result = {}
    for name in names:
        result[name] = name
        for part in WRAPPERS.intersection(parts(name)) - known:
            taken[part] = None
            result[name] = re.sub(rf"(?:^|(?<=[./])){part}[./]", "", result[name])
    if len(set(result.values())) < len(result):
        return {name: name for name in names}, []
    notes = [f"names in the checkpoint go through {part!r}, which is taken off" for part in taken]
    return result, sorted(notes)
