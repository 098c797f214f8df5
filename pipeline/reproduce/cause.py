"""Why two statements of a stage differ: data, code, params, threads, environment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import provenance
from pipeline.config.reading import flatten
from pipeline.provenance.lineage import Node, dep_kind

UPSTREAM = "upstream"
THREADS = "train.threads"


@dataclass(frozen=True, kw_only=True)
class Cause:
    kind: str
    """data, code, params, threads, package, python, platform, or upstream: another artifact that
    this one was made from, which has causes of its own."""
    name: str
    recorded: Any
    rebuilt: Any
    """None, as `recorded`, for what one side does not have."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {_shown(self.recorded)} -> {_shown(self.rebuilt)}"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    digits = len(text) in (40, 64) and set(text) <= set("0123456789abcdef")
    return f"{text[:12]}…" if digits else text


def causes(recorded: Node, rebuilt: Node) -> list[Cause]:
    """Returns all differences, those first that are likely to matter; none for equal statements."""
    order = ("data", "code", "params", "threads", "python", "platform", "package", UPSTREAM)
    causes = [
        *_deps(recorded, rebuilt),
        *_code(recorded, rebuilt),
        *_params(recorded.params, rebuilt.params),
        *of_environments(recorded.environment, rebuilt.environment),
    ]
    return sorted(causes, key=lambda each: order.index(each.kind))


def likely(causes: Sequence[Cause]) -> list[Cause]:
    """Returns those that can move a number: the commit and the patch only where no file that the
    stage names tells of them, and nothing upstream, which has been judged by itself."""
    own = [c for c in causes if c.kind != UPSTREAM]
    return [c for c in own if c.name not in ("commit", provenance.PATCH)] or own


def _unlike(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in {**before, **after}:
        if before.get(name) != after.get(name) or (name in before) != (name in after):
            yield name, before.get(name), after.get(name)


def _deps(before: Node, after: Node) -> Iterator[Cause]:
    """Yields the deps that differ, by file where both statements list what is in a directory."""
    for name, old, new in _unlike(before.deps, after.deps):
        recorded, rebuilt = before.files(name), after.files(name)
        if recorded and rebuilt:
            for file, was, is_ in _unlike(recorded, rebuilt):
                yield Cause(kind=_kind(name), name=f"{name}/{file}", recorded=was, rebuilt=is_)
        else:
            yield Cause(kind=_kind(name), name=name, recorded=old, rebuilt=new)


def _kind(dep: str) -> str:
    return {"artifact": UPSTREAM, "parent": "data", "checkpoint": "data"}.get(
        dep_kind(dep), dep_kind(dep)
    )


def _code(recorded: Node, rebuilt: Node) -> Iterator[Cause]:
    pairs = {"commit": (recorded.commit, rebuilt.commit)}
    pairs[provenance.PATCH] = (recorded.patch, rebuilt.patch)
    for name, (old, new) in pairs.items():
        if old != new:
            yield Cause(kind="code", name=name, recorded=old, rebuilt=new)


def _params(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Cause]:
    for name, old, new in _unlike(flatten(before), flatten(after)):
        kind = "threads" if name == THREADS else "params"
        yield Cause(kind=kind, name=name, recorded=old, rebuilt=new)


def of_environments(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Cause]:
    """Yields the differences of packages, of Python and of the platform."""
    for name, old, new in _unlike(before["packages"], after["packages"]):
        yield Cause(kind="package", name=name, recorded=old, rebuilt=new)
    for name in ("python", "platform"):
        if before[name] != after[name]:
            yield Cause(kind=name, name=name, recorded=before[name], rebuilt=after[name])
