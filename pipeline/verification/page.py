"""verify.json becomes one page for people."""

from collections.abc import Mapping, Sized
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.html import render
from pipeline.verification.report import WHOLE

TEMPLATE = Path(__file__).with_suffix(".html")
Report = Mapping[str, Any]

PROMISED = {
    "code_free": "Loads without the source",
    "safe_to_load": "Runs no code from the file",
    "trainable": "Can be trained on",
    "same_bytes": "Same model, same bytes",
}


class Cell(NamedTuple):
    """A cell says in `small` what its text means; its `kind` is a class of the style."""

    text: str
    kind: str
    small: str = ""


def as_page(report: Report, pictures: Mapping[str, Any]) -> str:
    """Returns HTML of what `report.summarise` and `pictures.pictures` give."""
    formats, trained = report["formats"], _measured_of_all(report, "continuation")
    scores = _measured_of_all(report, "metrics").values()
    known = {name for measured in scores for name in measured["metrics"]}
    return render(
        TEMPLATE,
        **report,
        pictures=pictures,
        verdict="Passed" if report["passed"] else "Do not ship",
        columns=list(formats) or ["complete model"],
        answered=any(each["answered"] for each in formats.values()),
        with_source=[n for n, each in formats.items() if not each["promises"]["code_free"]],
        trained=trained if any(each["losses"] for each in trained.values()) else {},
        scored=[name for name in report["model"]["metrics"] if name in known],
        promised=PROMISED,
        counted=_counted,
        outcome=partial(outcome, report),
        measured=lambda check, name: _measured_of_all(report, check).get(name, {}),
        seconds=lambda key, name: _seconds(report["formats"][name]["timing"], key),
        paces={name: partial(_seconds, each) for name, each in report["speeds"].items()},
        share=partial(_share, report["speeds"]),
    )


def outcome(report: Report, check: str, name: str) -> Cell:
    """Returns what a check said of a format."""
    faults = [f for f in report["faults"] if f["check"] == check and f["format"] in (None, name)]
    reported = report["formats"].get(name, {})
    if faults:
        return Cell("✗ failed", "bad", _counted(faults))
    if check == "continuation" and reported and not reported["promises"]["trainable"]:
        return Cell("– not promised", "none")
    if check == "self_contained" and reported and not reported["promises"]["code_free"]:
        reason = report["checks"][check]["measured"][name]["without_source"]
        return Cell("– not promised", "none", reason)
    if reported and not reported["answered"] and check not in WHOLE:
        return Cell("– not examined", "none")
    if check == "runtimes":
        ran = [each for each in report["runtimes"].values() if each["format"] == name]
        if not any(each["outcome"] == "passed" for each in ran):
            return Cell("– not run", "none")
    return Cell("✓ passed", "good")


def _measured_of_all(report: Report, check: str) -> Mapping[str, Any]:
    """Returns what a check measured of each format; nothing if it was not asked for."""
    measured: Mapping[str, Any] = report["checks"].get(check, {"measured": {}})["measured"]
    return measured


def _counted(faults: Sized) -> str:
    return f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}"


def _share(speeds: Mapping[str, Mapping[str, float]], key: str, name: str) -> float:
    """Returns the seconds of one as a share of the slowest's."""
    every = [timing.get(f"{key}_seconds", 0.0) for timing in speeds.values()]
    return speeds[name].get(f"{key}_seconds", 0.0) / max(*every, 1e-9)


def _seconds(timing: Mapping[str, float], key: str) -> str:
    value = timing.get(f"{key}_seconds")
    if value is None:
        return "–"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.{1 if value > 0.01 else 3}f} ms"
