"""The report of diff as one page of a terminal; what is left out is counted."""

from collections.abc import Iterator
from typing import Any

from pipeline.diff.side import ABSENT
from pipeline.html import number

Report = dict[str, Any]

LINES = 15
"""Of a list, and in a terminal."""
DIFF_LINES = 30
WIDTH = 60
"""Characters of a value; longer ones are cut."""


def as_text(report: Report) -> str:
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    for name in ("a", "b"):
        each = report[name]
        run = f", MLflow run {each['run']}" if each["run"] else ""
        yield f"{name.upper()}  {each['stage']} {each['digest'][:12]}  {each['what']}{run}"
    yield ""
    yield verdict(report)
    for section, give in SECTIONS.items():
        said = report[section]
        state = {True: "differs", False: "same", None: "not compared"}[said["differ"]]
        yield ""
        yield f"{section}: {state}"
        for text in [*give(said), *(f"({text})" for text in said["unsaid"])]:
            yield f"  {text}".rstrip()


def verdict(report: Report) -> str:
    if report["same_statement"]:
        return "The same artifact."
    if report["differ"]:
        return f"They differ in {', '.join(report['differing'])}."
    return "Nothing that could be compared differs."


def some(lines: list[str], limit: int = LINES) -> list[str]:
    left = len(lines) - limit
    return (
        lines if left <= 0 else [*lines[:limit], f"… and {left} more; --json and --html have all"]
    )


def whole(entry: dict[str, Any], side: str) -> str:
    if side not in entry:
        return ABSENT
    value = entry[side]
    return value if isinstance(value, str) else repr(value) if value is not None else "null"


def shown(entry: dict[str, Any], side: str) -> str:
    text = whole(entry, side)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def pairs(entries: list[dict[str, Any]]) -> list[str]:
    wide = max((len(each["key"]) for each in entries), default=0)
    each = [f"{e['key']:<{wide}}  {shown(e, 'a')} → {shown(e, 'b')}" for e in entries]
    return some(each)


def params(said: Report) -> list[str]:
    return pairs(said["changed"])


def code(said: Report) -> list[str]:
    lines: list[str] = []
    for pair in said["pairs"]:
        if pair["differ"] or pair["a"] != pair["b"]:
            lines.append(f"{', '.join(pair['stages'])}: {tree(pair['a'])} → {tree(pair['b'])}")
            lines += [f"  {text}" for text in [*commits(pair["commits"]), *read(pair)]]
            counts = [f"{f['name']}  +{f['added']} -{f['removed']}" for f in pair["files"]]
            lines += [f"  {text}" for text in some(counts)]
            lines += some((pair["diff"] or "").splitlines(), DIFF_LINES)
    return lines


def tree(named: dict[str, str | None]) -> str:
    commit = (named["commit"] or "no commit")[:12]
    return commit + (f" + patch {named['patch'][:8]}" if named["patch"] else "")


def commits(found: dict[str, Any] | None) -> list[str]:
    if not found or not found["only_a"] + found["only_b"]:
        return []
    heading = f"{found['only_a']} commits only in A (<), {found['only_b']} only in B (>)"
    return [heading, *(f"  {text}" for text in some(found["named"], 5))]


def read(pair: dict[str, Any]) -> list[str]:
    """What of it the stages read."""
    if not pair["read"]:
        return ["no file that these stages read differs"]
    readers: dict[str, list[str]] = {}
    for stage, names in pair["read"].items():
        readers.setdefault(", ".join(some(names, 8)), []).append(stage)
    return [f"read by {', '.join(stages)}: {names}" for names, stages in readers.items()]


def data(said: Report) -> list[str]:
    lines = []
    if said["differ"]:
        one, other = said["a"], said["b"]
        lines.append(f"{one['path']} {one['sha256'][:12]} → {other['path']} {other['sha256'][:12]}")
    if "rows" in said:
        lines += tabular(said)
    return lines


def tabular(said: Report) -> list[str]:
    rows = said["rows"]
    lines = [f"rows {rows['a']} → {rows['b']}"]
    if "added" in rows:
        counts = f"{rows['added']} added, {rows['removed']} removed, {rows['changed']} changed"
        lines[0] += f": {counts} (matched by {rows['matched_by']})"
        cells = rows["changed_by_column"].items()
        lines += some([f"  {name}: {count} cells changed" for name, count in cells], 5)
    for kind in ("added", "removed"):
        if said["columns"][kind]:
            lines.append(f"columns {kind}: {', '.join(some(said['columns'][kind]))}")
    differing = [each for each in said.get("labels", []) if each["a"] != each["b"]]
    lines += some([f"label {e['label']}: {e['a']} → {e['b']} rows" for e in differing])
    return lines


def environment(said: Report) -> list[str]:
    lines: list[str] = []
    for group in said["groups"]:
        lines.append(f"{', '.join(group['stages'])}:")
        lines += [f"  {text}" for text in pairs(group["changed"])]
        lines += [f"  {text}" for text in pairs(group["packages"])]
    return lines


def metrics(said: Report) -> list[str]:
    wide = max((len(each["key"]) for each in said["metrics"]), default=0)
    return some([f"{each['key']:<{wide}}  {metric(each)}" for each in said["metrics"]])


def metric(each: dict[str, Any]) -> str:
    if each["difference"] == 0:
        return number(each["a"])
    moved = "" if each["difference"] is None else f"  ({each['difference']:+.4g})"
    return f"{number(each['a'])} → {number(each['b'])}{moved}"


def weights(said: Report) -> list[str]:
    if "equal" not in said:
        return []
    differing = said["differing"]
    total = said["equal"] + len(differing)
    lines = [f"{said['format']}: {said['equal']} of {total} tensors are equal, bit for bit"]
    wide = max((len(each["name"]) for each in differing), default=0)
    lines += some([f"{each['name']:<{wide}}  {moved(each)}" for each in differing])
    for side in ("a", "b"):
        names = [each["name"] for each in said[f"only_{side}"]]
        lines += [f"only in {side.upper()}: {', '.join(some(names))}"] if names else []
    return lines


def moved(each: dict[str, Any]) -> str:
    if "other_values" in each:
        other = f"{each['other_values']} {each['other_dtype']}"
        return f"{each['values']} {each['dtype']} → {other}"
    by = f"by up to {number(each['max_abs'])}, {number(each['relative'])} of its norm"
    return f"{each['changed']} of {each['values']} values, {by}"


def files(said: Report) -> list[str]:
    kinds = {"changed": "changed", "only_a": "only in A", "only_b": "only in B"}
    lines = [f"{text}: {', '.join(some(said[k], 8))}" for k, text in kinds.items() if said[k]]
    return [*lines, f"{said['same']} the same"]


SECTIONS = {
    "params": params,
    "code": code,
    "data": data,
    "environment": environment,
    "metrics": metrics,
    "weights": weights,
    "files": files,
}
