"""What a person reads: whose code runs, how it goes, and what came of it."""

import json
from collections.abc import Mapping
from typing import Any

from pipeline.project import ARTIFACTS
from pipeline.reproduce import code as reproduce_code
from pipeline.reproduce import trust
from pipeline.reproduce.changes import Changes
from pipeline.reproduce.code import Code
from pipeline.reproduce.compare import NEW, Difference, Stage, Verdict
from pipeline.reproduce.report import Report

LISTED = 8
NAMED = 3


def announcement(report: Report, foreign: Mapping[Code, Changes]) -> str:
    """Returns what is said before anything is run."""
    last, code = report.nodes[-1], report.codes[-1]
    name = last.params.get("model", {}).get("name", "")
    lines = [
        f"Making again: {ARTIFACTS.get(last.stage, last.stage)} {name} (sha256 {last.digest})",
        f"Running code of {report.source.project}",
        f"  at commit {code.commit} ({reproduce_code.subject_line(code, report.source)})",
    ]
    for each, changes in foreign.items():
        files = [change.name for change in changes.files]
        if each.place:
            lines.append(f"  changed by {each.place}, which came with the artifact:")
        else:
            lines.append(f"  {each.commit}, of no branch of this clone, differs from its own in:")
        lines.append(f"    {', '.join(files)}")
    others = {
        c.label: n.stage for n, c in zip(report.nodes, report.codes, strict=True) if c != code
    }
    lines += [f"  {stage} ran at {label}, and does so again" for label, stage in others.items()]
    known = {json.dumps(node.elsewhere): node.elsewhere for node in report.nodes}
    for origin in filter(None, known.values()):
        name, unknown = origin["known"].get("name"), ", ".join(origin["unknown"])
        lines.append(f"  from the checkpoint {name} on, trained elsewhere: {unknown} not known")
    calls = [t for node in report.nodes for t in reproduce_code.targets(node.params)]
    calls += [each for node in report.nodes for each in trust.commands(node.params)[:1]]
    if calls:
        lines.append(f"  which the recorded parameters have call {', '.join(dict.fromkeys(calls))}")
    lines.append("in a clone of its own; your files are only read.")
    return "\n".join(lines)


def _listed(names: list[str], most: int = LISTED) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def environment(report: Report, present: dict[str, Any]) -> str:
    which = "rebuilt" if report.rebuilt_environment else "the one at hand"
    count = f"Python {present['python']}, {len(present['packages'])} packages"
    if not report.environment:
        return f"Environment: {which}, {count}: exactly as recorded.\n"
    shown = [str(each) for each in report.environment]
    lines = [f"Environment: {which}, {count}; {len(shown)} unlike the record (recorded -> here):"]
    lines += [f"  {each}" for each in shown[:LISTED]]
    lines += [f"  and {len(shown) - LISTED} more"] if len(shown) > LISTED else []
    if not report.rebuilt_environment:
        lines.append("  `--environment recorded` installs the recorded one first.")
    return "\n".join(lines) + "\n"


def stage_line(stage: str, seconds: float, outcome: str) -> str:
    return f"{stage:<16} {seconds:6.1f} s  {outcome}"


def result(report: Report) -> str:
    """Returns the table, the first divergence and the likely cause."""
    rows = [("stage", "verdict", "files equal", "time", "what differs")]
    rows += [_row(stage, seconds) for stage, seconds in report.stages]
    if report.verified is not None:
        outcome = "passed" if report.verified else "FAILED"
        rows.append(("verify", outcome, "", f"{report.verify_seconds:.1f} s", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [""]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        lines.append("  ".join([*cells, row[4]]).rstrip())
    return "\n".join([*lines, "", *_conclusion(report)])


def _row(stage: Stage, seconds: float) -> tuple[str, str, str, str, str]:
    unlike = sorted(stage.differences, key=lambda each: -each.verdict)  # the worst first
    new = sum(each.why == NEW for each in unlike)
    what = _listed([each.file for each in unlike], NAMED)
    if not unlike and stage.verdict:
        what = "the statement alone"
    distances = [each.max_abs for each in unlike if each.max_abs]
    if distances:
        what += f"; by up to {max(distances):.3g}"
    equal = f"{stage.files - len(unlike) + new} of {stage.files}"
    return (stage.name, str(stage.verdict), equal, f"{seconds:.1f} s", what)


def _conclusion(report: Report) -> list[str]:
    lines = {
        Verdict.SAME_BYTES: "SAME BYTES: every file and every statement came out as recorded.",
        Verdict.SAME_CONTENT: "SAME CONTENT: every number came out bit for bit as recorded; what "
        "describes or packs them did not.",
        Verdict.WITHIN_TOLERANCE: "DIFFERENT, within tolerance (1e-4 absolute and relative).",
        Verdict.DIFFERENT: "DIFFERENT.",
    }
    conclusion = [lines[report.verdict]]
    if report.first:
        conclusion.append(
            f"First divergence: {report.first[0].name}: {_divergence(report.first[1])}"
        )
    if report.cause:
        label = "Likely cause" if report.first else "The statements differ in"
        conclusion.append(f"{label} (recorded -> now): {report.cause}")
    if report.predictions and report.first:
        conclusion.append(f"Predictions: {_predictions(report.predictions)}")
    if report.verified is False:
        conclusion.append("The rebuilt model does not pass verify, see above.")
    if report.keep:
        conclusion.append(f"All that was made is in {report.keep}.")
    return conclusion


def _divergence(difference: Difference) -> str:
    text = difference.file
    if difference.tensor:
        text += f": {difference.tensor}"
    if difference.at:
        text += f"[{', '.join(map(str, difference.at))}]"
    if difference.recorded is not None:
        text += f": recorded {difference.recorded}, now {difference.rebuilt}"
    return f"{text} ({difference.why})"


def _predictions(distances: dict[str, Any]) -> str:
    if distances["bitwise_equal"]:
        return f"all {distances['values']} of {distances['compared']}/ bitwise equal"
    kind = "within" if distances["within_tolerance"] else "beyond"
    return (
        f"{distances['values']} of {distances['compared']}/ compared; they differ by up to "
        f"{distances['max_abs']:.3g} (at {distances['at']}), {kind} tolerance"
    )
