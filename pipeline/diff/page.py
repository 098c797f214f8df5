"""The report of diff as one page for people; it fetches nothing and runs no script."""

from collections.abc import Iterable
from html import escape
from typing import Any

from pipeline.diff import text as diff_text
from pipeline.html.pieces import number
from pipeline.verification.page import STYLE

Report = dict[str, Any]

OWN_STYLE = """
table.plain { table-layout: auto; } .plain td, .plain th { overflow-wrap: anywhere; }
.plus { color: var(--good); } .minus { color: var(--bad); } .hunk { color: var(--soft); }
details summary { cursor: pointer; color: var(--soft); margin: .4rem 0; }
"""


def as_page(report: Report) -> str:
    title = f"{report['a']['digest'][:8]} and {report['b']['digest'][:8]}"
    body = "\n".join([head(report), *(section(report, name) for name in GIVE)])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE.read_text()}{OWN_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def head(report: Report) -> str:
    kind = "bad" if report["differ"] else "good"
    verdict = "Different" if report["differ"] else "No difference"
    sides = [
        [name.upper(), each["what"], each["stage"], each["digest"], each["run"] or "–"]
        for name, each in (("a", report["a"]), ("b", report["b"]))
    ]
    heading = ["", "given as", "made by", "sha256 of its statement", "MLflow run"]
    return (
        f'<span class="verdict {kind}">{verdict}</span>\n<h1>Two artifacts compared</h1>\n'
        f"<p>{escape(diff_text.verdict(report))}</p>\n{table(heading, sides)}"
    )


def section(report: Report, name: str) -> str:
    said = report[name]
    state = {
        True: '<span class="bad">differs</span>',
        False: '<span class="good">same</span>',
        None: '<span class="none">not compared</span>',
    }[said["differ"]]
    unsaid = "".join(f'<p class="soft">{escape(text)}</p>' for text in said["unsaid"])
    return f"<h2>{name.capitalize()} <small>{state}</small></h2>\n{GIVE[name](said)}{unsaid}"


def table(heading: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Nothing without rows; the first cell of a row names it."""
    body = ""
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in rest)
        body += f'<tr><th scope="row">{escape(str(first))}</th>{cells}</tr>\n'
    if not body:
        return ""
    top = "".join(f'<th scope="col">{escape(each)}</th>' for each in heading)
    return (
        f'<div class="scroll"><table class="plain">\n<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>\n"
    )


def pairs(entries: list[dict[str, Any]], what: str) -> str:
    rows = [
        [each["key"], *(diff_text.whole(each, side) for side in ("a", "b"))] for each in entries
    ]
    return table([what, "A", "B"], rows)


def params(said: Report) -> str:
    return pairs(said["changed"], "parameter")


def code(said: Report) -> str:
    parts = []
    for pair in said["pairs"]:
        if not pair["differ"] and pair["a"] == pair["b"]:
            continue
        between = f"{diff_text.tree(pair['a'])} → {diff_text.tree(pair['b'])}"
        parts.append(f"<p>{escape(', '.join(pair['stages']))}: <code>{escape(between)}</code></p>")
        told = [*diff_text.commits(pair["commits"]), *diff_text.read(pair)]
        parts.append(f'<p class="soft">{"<br>".join(map(escape, told))}</p>')
        rows = [[f["name"], f"+{f['added']}", f"-{f['removed']}"] for f in pair["files"]]
        parts.append(table(["file", "lines added", "removed"], rows))
        parts.append(patch(pair["diff"]) if pair["diff"] else "")
    return "\n".join(parts)


def patch(diff: str) -> str:
    """Open, for it is what people come to read."""
    kinds = {"+": "plus", "-": "minus", "@": "hunk", "d": "hunk", "i": "hunk"}
    lines = []
    for text in diff.splitlines():
        kind = kinds.get(text[:1])
        lines.append(f'<span class="{kind}">{escape(text)}</span>' if kind else escape(text))
    return f"<details open><summary>the diff</summary><pre>{chr(10).join(lines)}</pre></details>"


def data(said: Report) -> str:
    named = [[n.upper(), said[n]["path"], said[n]["sha256"]] for n in ("a", "b") if said.get(n)]
    found = table(["", "raw data", "sha256"], named)
    if "rows" not in said:
        return found
    told = [line for line in diff_text.tabular({**said, "labels": []}) if line]
    found += f"<p>{'<br>'.join(map(escape, told))}</p>"
    rows = [[e["label"], e["a"], e["b"], f"{e['b'] - e['a']:+d}"] for e in said.get("labels", [])]
    return found + table(["label", "rows of A", "rows of B", "difference"], rows)


def environment(said: Report) -> str:
    return "".join(
        f"<p>{escape(', '.join(group['stages']))}</p>\n"
        f"{pairs(group['changed'], '')}{pairs(group['packages'], 'package')}"
        for group in said["groups"]
    )


def metrics(said: Report) -> str:
    rows = [
        [
            e["key"],
            number(e["a"]),
            number(e["b"]),
            f"{e['difference']:+.4g}" if e["difference"] else "–",
        ]
        for e in said["metrics"]
    ]
    return table(["metric", "A", "B", "difference"], rows)


def weights(said: Report) -> str:
    if "equal" not in said:
        return ""
    heading = ["tensor", "values", "changed", "largest difference", "norm, relative to A"]
    rows = [
        [e["name"], f"{e['values']} {e['dtype']}", diff_text.moved(e), "–", "–"]
        if "other_values" in e
        else [
            e["name"],
            f"{e['values']} {e['dtype']}",
            e["changed"],
            number(e["max_abs"]),
            number(e["relative"]),
        ]
        for e in said["differing"]
    ]
    return f"<p>{escape(diff_text.weights(said)[0])}.</p>{table(heading, rows)}" + "".join(
        f"<p>{escape(line)}</p>" for line in diff_text.weights({**said, "differing": []})[1:]
    )


def files(said: Report) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in diff_text.files(said))


GIVE = {
    "params": params,
    "code": code,
    "data": data,
    "environment": environment,
    "metrics": metrics,
    "weights": weights,
    "files": files,
}
