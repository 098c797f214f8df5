"""The report of diff as text for a terminal; what is left out is counted."""

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
    for section, describe in SECTIONS.items():
        content = report[section]
        state = {True: "differs", False: "same", None: "not compared"}[content["differ"]]
        yield ""
        yield f"{section}: {state}"
        for text in [*describe(content), *(f"({text})" for text in content["unsaid"])]:
            yield f"  {text}".rstrip()


def verdict(report: Report) -> str:
    if report["same_statement"]:
        return "The same artifact."
    if report["differ"]:
        return f"They differ in {', '.join(report['differing'])}."
    return "Nothing that could be compared differs."


def shortened(lines: list[str], limit: int = LINES) -> list[str]:
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
    return shortened(each)


def params(content: Report) -> list[str]:
    return pairs(content["changed"])


def code(content: Report) -> list[str]:
    lines: list[str] = []
    for pair in content["pairs"]:
        if pair["differ"] or pair["a"] != pair["b"]:
            lines.append(f"{', '.join(pair['stages'])}: {tree(pair['a'])} → {tree(pair['b'])}")
            lines += [f"  {text}" for text in [*commits(pair["commits"]), *read(pair)]]
            counts = [f"{f['name']}  +{f['added']} -{f['removed']}" for f in pair["files"]]
            lines += [f"  {text}" for text in shortened(counts)]
            lines += shortened((pair["diff"] or "").splitlines(), DIFF_LINES)
    return lines


def tree(named: dict[str, str | None]) -> str:
    commit = (named["commit"] or "no commit")[:12]
    return commit + (f" + patch {named['patch'][:8]}" if named["patch"] else "")


def commits(between: dict[str, Any] | None) -> list[str]:
    if not between or not between["only_a"] + between["only_b"]:
        return []
    heading = f"{between['only_a']} commits only in A (<), {between['only_b']} only in B (>)"
    return [heading, *(f"  {text}" for text in shortened(between["named"], 5))]


def read(pair: dict[str, Any]) -> list[str]:
    """Returns which of the files that differ the stages read."""
    if not pair["read"]:
        return ["no file that these stages read differs"]
    readers: dict[str, list[str]] = {}
    for stage, names in pair["read"].items():
        readers.setdefault(", ".join(shortened(names, 8)), []).append(stage)
    return [f"read by {', '.join(stages)}: {names}" for names, stages in readers.items()]


def data(content: Report) -> list[str]:
    lines = []
    if content["differ"]:
        one, other = content["a"], content["b"]
        lines.append(f"{one['path']} {one['sha256'][:12]} → {other['path']} {other['sha256'][:12]}")
    if "rows" in content:
        lines += tabular(content)
    return lines


def tabular(content: Report) -> list[str]:
    rows = content["rows"]
    lines = [f"rows {rows['a']} → {rows['b']}"]
    if "added" in rows:
        counts = f"{rows['added']} added, {rows['removed']} removed, {rows['changed']} changed"
        lines[0] += f": {counts} (matched by {rows['matched_by']})"
        cells = rows["changed_by_column"].items()
        lines += shortened([f"  {name}: {count} cells changed" for name, count in cells], 5)
    for kind in ("added", "removed"):
        if content["columns"][kind]:
            lines.append(f"columns {kind}: {', '.join(shortened(content['columns'][kind]))}")
    differing = [each for each in content.get("labels", []) if each["a"] != each["b"]]
    lines += shortened([f"label {e['label']}: {e['a']} → {e['b']} rows" for e in differing])
    return lines


def environment(content: Report) -> list[str]:
    lines: list[str] = []
    for group in content["groups"]:
        lines.append(f"{', '.join(group['stages'])}:")
        lines += [f"  {text}" for text in pairs(group["changed"])]
        lines += [f"  {text}" for text in pairs(group["packages"])]
    return lines


def metrics(content: Report) -> list[str]:
    wide = max((len(each["key"]) for each in content["metrics"]), default=0)
    return shortened([f"{each['key']:<{wide}}  {metric(each)}" for each in content["metrics"]])


def metric(each: dict[str, Any]) -> str:
    if each["difference"] == 0:
        return number(each["a"])
    moved = "" if each["difference"] is None else f"  ({each['difference']:+.4g})"
    return f"{number(each['a'])} → {number(each['b'])}{moved}"


def weights(content: Report) -> list[str]:
    base = [based(content["base"])] if content.get("base") else []
    if "equal" not in content:
        return base
    differing = content["differing"]
    total = content["equal"] + len(differing)
    lines = [f"{content['format']}: {content['equal']} of {total} tensors are equal, bit for bit"]
    wide = max((len(each["name"]) for each in differing), default=0)
    lines += shortened([f"{each['name']:<{wide}}  {moved(each)}" for each in differing])
    for side in ("a", "b"):
        names = [each["name"] for each in content[f"only_{side}"]]
        lines += [f"only in {side.upper()}: {', '.join(shortened(names))}"] if names else []
    return lines + base


def based(base: dict[str, str]) -> str:
    """Tells of the checkpoints that both were trained on from."""
    one, other = base["a"][:12], base["b"][:12]
    same = base["a"] == base["b"]
    return f"base equal: checkpoint {one}" if same else f"base differs: {one} → {other}"


def moved(each: dict[str, Any]) -> str:
    if "other_values" in each:
        other = f"{each['other_values']} {each['other_dtype']}"
        return f"{each['values']} {each['dtype']} → {other}"
    by = f"by up to {number(each['max_abs'])}, {number(each['relative'])} of its norm"
    return f"{each['changed']} of {each['values']} values, {by}"


def files(content: Report) -> list[str]:
    kinds = {"changed": "changed", "only_a": "only in A", "only_b": "only in B"}
    lines = [
        f"{text}: {', '.join(shortened(content[k], 8))}" for k, text in kinds.items() if content[k]
    ]
    return [*lines, f"{content['same']} the same"]


SECTIONS = {
    "params": params,
    "code": code,
    "data": data,
    "environment": environment,
    "metrics": metrics,
    "weights": weights,
    "files": files,
}
