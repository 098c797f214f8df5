"""Weights are named by layers, whose names Keras counts on from model to model in a process: the
first Dense of a file may be dense_12. Here they count from 0 in each model, in their order."""

from collections.abc import Sequence

TOP = "top_level_model_weights"
"""The group of weights that no layer holds."""
Path = tuple[str, ...]


def named(weights: Sequence[tuple[str, str]]) -> list[str]:
    """Returns a name for each weight, given its layer and its path; the second of a name gets :2,
    and so on."""
    paths = counted([(layer, *_within(layer, path)) for layer, path in weights])
    names: list[str] = []
    counts: dict[str, int] = {}
    for path in paths:
        name = "/".join(path)
        counts[name] = counts.get(name, 0) + 1
        names.append(name if counts[name] == 1 else f"{name}:{counts[name]}")
    return names


def public(names: Sequence[str]) -> dict[str, str]:
    """Returns each path with no underscore before its parts, which one version has and another has
    not; as it is where two would become one."""
    plain = {name: "/".join(part.lstrip("_") or part for part in name.split("/")) for name in names}
    return plain if len(set(plain.values())) == len(plain) else {name: name for name in names}


def _within(layer: str, path: str) -> Path:
    """Returns the part of a path that lies below the layer: what stands before it is the model's
    name, or a scope that only one version has."""
    parts = tuple(path.split("/"))
    if layer == TOP:
        return parts[-1:]
    return parts[parts.index(layer) + 1 :] if layer in parts[:-1] else parts


def counted(paths: Sequence[Path]) -> list[Path]:
    """Returns the paths with the numbers at the end of their parts, but the last, counted from 0
    among those that lie together and are called alike otherwise."""
    siblings: dict[Path, set[str]] = {}
    for path in paths:
        for place in range(len(path) - 1):
            siblings.setdefault(path[:place], set()).add(path[place])
    renamed = {parent: _renamed(parts) for parent, parts in siblings.items()}
    return [
        (*(renamed[path[:i]][part] for i, part in enumerate(path[:-1])), path[-1]) for path in paths
    ]


def _renamed(parts: set[str]) -> dict[str, str]:
    alike: dict[str, list[tuple[list[tuple[int, str]], str]]] = {}
    for part in parts:
        base, numbers = _numbered(part)
        alike.setdefault(base, []).append(([(len(each), each) for each in numbers], part))
    return {
        part: base if place == 0 else f"{base}_{place}"
        for base, each in alike.items()
        for place, (_, part) in enumerate(sorted(each))
    }


def _numbered(part: str) -> tuple[str, list[str]]:
    """Returns what stands before the numbers at the end, and these: dense_1_2 is dense, 1 and 2."""
    words = part.split("_")
    last = len(words)
    while last > 1 and words[last - 1].isdecimal():
        last -= 1
    return "_".join(words[:last]), words[last:]
