"""The runs that there should be: one for each complete model, and what is to be logged of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.params import Tracking, TrackingParams
from pipeline.config.reading import read
from pipeline.errors import VerificationFailed
from pipeline.relog.executions import Execution
from pipeline.relog.sources import Held, Sources
from pipeline.tracking.content import TOLD, Details, Made
from pipeline.tracking.store import without_login

SINCE = {"register": None, "promote": "better", "upload": "files"}
"""What tracking did before it had these keys."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A complete model's executions, earliest first. Later ones found its run and logged nothing,
    or named it when it had been logged again."""

    every: tuple[Held, ...]

    @property
    def first(self) -> Held:
        """Of those that are wholly at hand, if there is one."""
        return next((held for held in self.every if not held.missing), self.every[0])

    @property
    def report(self) -> Mapping[str, Any]:
        """The latest."""
        return max(self.every, key=lambda held: held.execution.time).report

    @property
    def start(self) -> int:
        return start(self.first)

    @property
    def name(self) -> str:
        return self.first.digest or f"md5 {self.first.execution.model}"


def known(executions: Iterable[Execution], sources: Sources) -> list[Known]:
    """In the order of their original times."""
    helds = [sources.of(each) for each in executions]
    digests = {held.execution.model: held.digest for held in helds if held.digest}
    groups = defaultdict(list)
    for held in helds:
        model = held.execution.model
        groups[digests.get(model, model)].append(held)
    ordered = (sorted(each, key=lambda h: (start(h), h.execution.time)) for each in groups.values())
    found = [Known(every=tuple(each)) for each in ordered]
    return sorted(found, key=lambda each: (each.start, each.name))


def start(held: Held) -> int:
    """As the report tells it; those of earlier versions did not."""
    return int(held.report.get("start_time", held.execution.time))


def details(held: Held) -> Details:
    report = held.report
    if "start_time" in report:
        tags = {name: report["tags"][name] for name in TOLD if name in report["tags"]}
        return Details(start_time=report["start_time"], end_time=report["end_time"], tags=tags)
    name = held.execution.experiment
    tags = {"dvc.exp.name": name} if name else {}
    time = held.execution.time
    return Details(start_time=time, end_time=time, tags=tags)


def sections(held: Held) -> dict[str, Any]:
    """Those of params.yaml that no statement records, as it was then."""
    found: dict[str, Any] = held.report.get("params") or dict(held.execution.sections)
    tracking = found["tracking"]
    shown = without_login(tracking["uri"]) if tracking["uri"] else None  # older ones took a login
    return {**found, "tracking": {**tracking, "uri": shown}}


def tracking(held: Held) -> Tracking:
    """As it was then, but for the store. Raises ParamsError."""
    values = {**SINCE, **sections(held)["tracking"], "uri": None}
    return read(TrackingParams, {"tracking": values}).tracking


def made(held: Held, directory: Path) -> Made:
    """Raises PipelineError unless every byte is what was recorded and passed verify."""
    held.check()
    paths = held.lay_out(directory)
    paths.pop("report")
    named = {option.replace("-", "_"): path for option, path in paths.items()}
    found = Made(**named, sections=sections(held))
    if not found.verified["passed"]:
        raise VerificationFailed(f"{held.execution.where}: names a report that did not pass")
    return found
