"""A trace as text for a person: the tree at a glance, then each part with what was checked."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.provenance.lineage import dep_kind, is_artifact
from pipeline.trace.claims import SHORT, count

WIDEST = 100
LABELS = {"verified": "verified", "missing": "missing here", "contradicted": "CONTRADICTED"}
COLOURS = {"verified": "32", "missing": "33", "contradicted": "1;31"}
STATEMENT = "provenance.json"
LEGEND = (
    "Each part was made from those under it, and has a statement of what it is and what it was "
    "made from. Every claim in it is compared with the bytes at hand. Verified: they agree. "
    "Missing here: there is nothing at hand to compare with. Contradicted: they differ."
)
VERDICT, CLAIM = 13, 12
"""Columns."""
REPEATED = 40
"""Characters up to which a line is written out again."""

Report = Mapping[str, Any]
"""Of the whole, or its entry of one node."""


def as_text(report: Report) -> str:
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    lines = [*_head(report, width), "", *_tree(report), ""]
    above: dict[str, set[str]] = {}
    for node in report["nodes"]:
        lines += [*_node(node, report, width, above), ""]
    return "\n".join([*lines, *_verdict(report, width)]) + "\n"


def _head(report: Report, width: int) -> list[str]:
    first = report["nodes"][0]
    what = f"{report['what']} is {_about(first)}."
    if name := report["file"]:
        what = f"{report['what']} is the file {name} of {_about(first)}."
    named = f"It is named by the sha256 of its {STATEMENT}: {report['digest']}"
    paragraphs = [what, named, "", LEGEND]
    return [
        line
        for text in paragraphs
        for line in textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    ]


def _about(node: Report) -> str:
    model = node["params"].get("model")
    article = {"data": "prepared data", "training": "a training with its checkpoints"}
    what = article.get(node["kind"], f"a {node['kind']}")
    return what + (f" of {model.get('name')} ({model.get('framework')})" if model else "")


def _tree(report: Report) -> Iterator[str]:
    """Yields each part under what was made from it; one that went into several, under the last of
    them."""
    nodes = {node["digest"]: node for node in report["nodes"]}
    above: dict[str, str] = {}
    for node in report["nodes"]:  # downwards, so the lowest that names it comes last
        above |= {dep["digest"]: node["digest"] for dep in node["made_from"]}
    waiting = [(report["nodes"][0], "", "")]
    while waiting:
        part, lead, below = waiting.pop()
        if "title" in part:
            yield f"{lead}{part['title']}"
            continue
        yield f"{lead}{_title(part)}  {_state(part)}"
        branches = list(_branches(part, nodes, above))
        leads = [(f"{below}├─ ", f"{below}│  ")] * (len(branches) - 1)
        leads += [(f"{below}└─ ", f"{below}   ")]
        for branch, (lead, further) in reversed(list(zip(branches, leads, strict=False))):
            waiting.append((branch, lead, further))


def _branches(
    node: Report, nodes: Mapping[str, Report], above: Mapping[str, str]
) -> Iterator[Report]:
    """Yields what a part was made from, each once, however many of its deps are the same; what is
    no part of the report is a line's title."""
    mine = {d["digest"]: d for d in node["made_from"] if above[d["digest"]] == node["digest"]}
    for digest, dep in mine.items():
        if digest in nodes:
            yield nodes[digest]
        elif dep_kind(dep["path"]) == "checkpoint":
            if not dep["path"].endswith(".json"):
                yield {"title": f"trained elsewhere: {dep['path'][: -64 + SHORT]}"}
        elif _is_raw(dep, node) or (not dep["known"] and is_artifact(dep["path"])):
            what = "raw data in" if _is_raw(dep, node) else "not known here:"
            yield {"title": f"{what} {dep['path']} {digest[:SHORT]}"}


def _is_raw(dep: Report, node: Report) -> bool:
    raw = [check["text"] for check in node["checks"] if check["claim"] == "raw data"]
    return any(text.startswith(str(dep["path"])) for text in raw)


def _title(node: Report) -> str:
    lead = "parent: " if node["parent"] and node["kind"] == "complete model" else ""
    return f"{lead}{node['kind']} {node['digest'][:SHORT]}"


def _state(node: Report) -> str:
    """Returns the worst verdict, and how many checks have it."""
    verdicts = [check["verdict"] for check in node["checks"]]
    for worst in ("contradicted", "missing"):
        if number := verdicts.count(worst):
            return _coloured(f"{LABELS[worst]}{f' ({number})' if number > 1 else ''}", worst)
    return _coloured("verified", "verified")


def _node(node: Report, report: Report, width: int, above: dict[str, set[str]]) -> Iterator[str]:
    where = node["place"] or ("DVC's cache" if node["in_dvc_cache"] else "not at hand")
    if node["place"] and node["place"].startswith(f"{report['root']}/"):
        where = node["place"].removeprefix(f"{report['root']}/")
    title = f"{_title(node)}  (stage {node['stage']})"
    yield title
    yield "─" * min(width, len(title))
    yield from _line("", "place", where, width)
    yield from _line("", "params", _params(node, report), width)
    for check in node["checks"]:
        if len(check["text"]) > REPEATED and check["text"] in above.setdefault(
            check["claim"], set()
        ):
            yield from _line(check["verdict"], check["claim"], "as above", width)
            continue
        above.setdefault(check["claim"], set()).add(check["text"])
        yield from _line(check["verdict"], check["claim"], check["text"], width)
        if check["todo"]:
            yield from _line("", "", f"→ {check['todo']}", width)


def _line(verdict: str, claim: str, text: str, width: int) -> Iterator[str]:
    label = LABELS.get(verdict, "").ljust(VERDICT)
    label = _coloured(label, verdict) if verdict else label
    wide = max(20, width - VERDICT - CLAIM - 1)
    wrapped = textwrap.wrap(text, wide, break_on_hyphens=False) or [""]
    yield f"{label} {claim:<{CLAIM}}{wrapped[0]}".rstrip()
    indent = " " * (VERDICT + 1 + CLAIM + (2 if text.startswith("→ ") else 0))
    yield from (f"{indent}{line}" for line in wrapped[1:])


def _params(node: Report, report: Report) -> str:
    """Returns those of the stage's own parameters that are set; what stages upstream have stands
    there."""
    digests = {dep["digest"] for dep in node["made_from"]}
    upstream = [
        n for n in report["nodes"] if n["digest"] in digests and n["parent"] == node["parent"]
    ]
    before = {section for other in upstream for section in other["params"]}
    own = {k: v for k, v in node["params"].items() if k not in before}
    return "  ".join(_leaves(own)) or "none of its own"


def _leaves(values: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(values, Mapping) and "_target_" not in values:
        for key, value in values.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif values not in (None, [], {}):
        yield f"{prefix}={_short(values)}"


def _short(value: Any) -> str:
    """Returns a component as the call that it is."""
    if isinstance(value, Mapping) and "_target_" in value:
        named = (f"{k}={_short(v)}" for k, v in value.items() if k != "_target_")
        return f"{value['_target_']}({', '.join(named)})"
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _verdict(report: Report, width: int) -> list[str]:
    counts = report["counts"]
    text = f"{count(counts['verified'], 'claim')} verified, {counts['missing']} could not be "
    text += f"checked because something is missing here, {counts['contradicted']} contradicted."
    return textwrap.wrap(text, width)


def _coloured(text: str, verdict: str) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\033[{COLOURS[verdict]}m{text}\033[0m"
