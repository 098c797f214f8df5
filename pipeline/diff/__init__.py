"""`python -m pipeline.diff A B`: what differs between two artifacts, and what cannot be said.

Ends with 0 when nothing differs, 1 when something does, 2 when they cannot be compared. No
framework is loaded, nothing is fetched, and nothing is written but the page.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pipeline.config.reading import flatten
from pipeline.diff import code as diff_code
from pipeline.diff import data as diff_data
from pipeline.diff import history as diff_history
from pipeline.diff import page as diff_page
from pipeline.diff import text as diff_text
from pipeline.diff import weights as diff_weights
from pipeline.diff.side import Side, changed, grouped
from pipeline.errors import ParamsError, PipelineError
from pipeline.project import EXPORT_COMPLETE
from pipeline.provenance import lineage
from pipeline.resolve import resolve
from pipeline.text import escaped, escaped_lines
from pipeline.untrusted import documents, limits

METRICS = "metrics.json"
SECTIONS = tuple(diff_text.SECTIONS)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.diff",
        description="Compares two artifacts: params, code, data, environment, metrics, weights.",
        epilog="A and B: as `python -m pipeline.trace` takes them. Exit code: 0 nothing differs, "
        "1 something does, 2 they cannot be compared.",
    )
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.add_argument("--json", action="store_true", help="the report for programs")
    parser.add_argument("--html", type=Path, metavar="PATH", help="writes it as a page, too")
    options = parser.parse_args(arguments)
    try:
        report = compare(options.a, options.b, Path())
        if options.html:
            _write(options.html, diff_page.as_page(report))
    except PipelineError as error:
        print(f"error: diff: {escaped(str(error))}", file=sys.stderr)
        return 2
    text = json.dumps(report, indent=1) if options.json else None
    print(text or escaped_lines(diff_text.as_text(report)), flush=True)
    return int(report["differ"])


def _write(path: Path, page: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page)
    except OSError as fault:
        raise PipelineError(f"{path}: cannot be written: {fault.strerror}") from None


def compare(what: str, other: str, root: Path) -> dict[str, Any]:
    """Returns the report: each of SECTIONS with `differ` (None: cannot be said), what differs, and
    in `unsaid` what could not be compared and why.

    Raises PipelineError when one is not found, or when they are of different kinds.
    """
    a = Side(name="A", what=what, resolved=resolve(what, root), root=root)
    b = Side(name="B", what=other, resolved=resolve(other, root), root=root)
    if a.node.stage != b.node.stage:
        kinds = f"A is what {a.node.stage} made, B what {b.node.stage} made"
        raise ParamsError(f"{kinds}; give two of a kind, for instance two complete models")
    sections: dict[str, Any] = {
        "params": params(a, b),
        "code": code(a, b),
        "data": diff_data.compare(a, b),
        "environment": environment(a, b),
        "metrics": metrics(a, b) | {"history": diff_history.compare(a, b)},
        "weights": tensors(a, b) | {"base": base(a, b)},
        "files": files(a, b),
    }
    differing = [name for name in SECTIONS if sections[name]["differ"]]
    return {
        "a": _about(a),
        "b": _about(b),
        "same_statement": a.node.digest == b.node.digest,
        "differ": bool(differing),
        "differing": differing,
        **sections,
    }


def _about(side: Side) -> dict[str, Any]:
    place = side.resolved.places.get(side.node.digest)
    return {
        "what": side.what,
        "digest": side.node.digest,
        "stage": side.node.stage,
        "place": str(place) if place else None,
        "run": side.resolved.run,
    }


def params(a: Side, b: Side) -> dict[str, Any]:
    """Compares the parameters of all stages of the chain, by dotted name."""
    changes = changed(flatten(a.params), flatten(b.params))
    return {"differ": bool(changes), "changed": changes, "unsaid": _chains(a, b)}


def _chains(a: Side, b: Side) -> list[str]:
    """Returns a line for each stage whose statement only one of the two has."""
    lacking = [(side, other) for side, other in ((a, b), (b, a))]
    return [
        f"{side.name}: the statement of its {stage} is not here"
        for side, other in lacking
        for stage in other.chain
        if stage not in side.chain
    ]


def code(a: Side, b: Side) -> dict[str, Any]:
    pairs = diff_code.compare(a, b)
    notes = [text for pair in pairs for text in pair["unsaid"]]
    return {
        "differ": any(pair["differ"] for pair in pairs),
        "pairs": pairs,
        "unsaid": list(dict.fromkeys(notes)),
    }


def environment(a: Side, b: Side) -> dict[str, Any]:
    """Compares Python, platform and packages; stages of which the same is to be said share an
    entry."""

    def between(stage: str) -> dict[str, Any]:
        one, other = a.chain[stage].environment, b.chain[stage].environment
        plain = [{k: v for k, v in each.items() if k != "packages"} for each in (one, other)]
        packages = changed(one.get("packages", {}), other.get("packages", {}))
        return {"changed": changed(*plain), "packages": packages}

    groups = grouped([stage for stage in a.chain if stage in b.chain], between)
    groups = [group for group in groups if group["changed"] or group["packages"]]
    return {"differ": bool(groups), "groups": groups, "unsaid": []}


def metrics(a: Side, b: Side) -> dict[str, Any]:
    if not all(METRICS in side.node.subject for side in (a, b)):
        return {"differ": None, "metrics": [], "unsaid": [f"what {a.node.stage} makes has none"]}
    files = [side.file(side.node, METRICS) for side in (a, b)]
    if files[0] is None or files[1] is None:
        if a.node.subject[METRICS] == b.node.subject[METRICS]:
            return {"differ": False, "metrics": [], "unsaid": []}
        sides = [side for side, file in zip((a, b), files, strict=True) if file is None]
        notes = [side.why_missing(side.node, METRICS) for side in sides]
        return {"differ": True, "metrics": [], "unsaid": notes}
    try:
        one, other = (_metrics(file) for file in files if file is not None)
    except ValueError as fault:
        return {"differ": True, "metrics": [], "unsaid": [str(fault)]}
    rows = [
        {"key": key, "a": one.get(key), "b": other.get(key), "difference": _minus(key, other, one)}
        for key in {**one, **other}
    ]
    return {"differ": one != other, "metrics": rows, "unsaid": []}


def _metrics(file: Path) -> dict[str, Any]:
    """Raises ValueError for what is no mapping of numbers."""
    try:
        values = documents.read_json(file, limits.TEXT)
    except ValueError as fault:
        raise ValueError(f"{file}: {fault}") from None
    numbers = values.values() if isinstance(values, dict) else [None]
    if not all(isinstance(each, int | float) and abs(each) < 1 << 1000 for each in numbers):
        raise ValueError(f"{file}: expected a number for each metric")
    return dict(values)


def _minus(key: str, other: dict[str, Any], one: dict[str, Any]) -> float | None:
    return other[key] - one[key] if key in one and key in other else None


def tensors(a: Side, b: Side) -> dict[str, Any]:
    if a.node.stage == EXPORT_COMPLETE:
        return diff_weights.compare(a, b)
    note = f"tensors are compared of complete models alone, not of what {a.node.stage} makes"
    return {"differ": None, "unsaid": [note]}


def base(a: Side, b: Side) -> dict[str, str] | None:
    """Returns the digests of the checkpoints that both were trained on from; None without two."""
    starts = {side.name.lower(): side.params.get("train", {}).get("start") for side in (a, b)}
    return starts if all(isinstance(each, str) for each in starts.values()) else None


def files(a: Side, b: Side) -> dict[str, Any]:
    """Compares the artifact's own files, by digest. The statements that it carries say what
    sections do."""
    one, other = ({k: v for k, v in s.node.subject.items() if not _carried(k)} for s in (a, b))
    changes = changed(one, other)
    return {
        "differ": bool(changes),
        "changed": [each["key"] for each in changes if "a" in each and "b" in each],
        "only_a": [each["key"] for each in changes if "b" not in each],
        "only_b": [each["key"] for each in changes if "a" not in each],
        "same": sum(other.get(name) == digest for name, digest in one.items()),
        "unsaid": [],
    }


def _carried(name: str) -> bool:
    return name.startswith(f"{lineage.FOLDER}/")
