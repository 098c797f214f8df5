"""The runs that there should be: one for each complete model, and what is to be logged of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.params import Tracking, TrackingParams
from pipeline.config.reading import read
from pipeline.errors import VerificationFailed
from pipeline.provenance.addresses import without_login
from pipeline.relog.executions import Execution
from pipeline.relog.sources import Sources, Stored
from pipeline.tracking.content import RunContent
from pipeline.tracking.details import PROCESS_TAGS, Details

SINCE = {"register": None, "promote": "better", "upload": "files"}
"""What tracking did before it had these keys."""


@dataclass(frozen=True, kw_only=True)
class ExpectedRun:
    """The run of a complete model, by its executions, earliest first. Later ones logged nothing,
    for the run was there, or named it when it had been logged again."""

    executions: tuple[Stored, ...]

    @property
    def first(self) -> Stored:
        """Returns the first execution that is wholly at hand, if there is one."""
        whole = (stored for stored in self.executions if not stored.missing)
        return next(whole, self.executions[0])

    @property
    def made_elsewhere(self) -> bool:
        """Returns whether nothing is here that only its own run can have left: the complete model,
        or the report with its times. Data and reports of other runs may have the same bytes."""
        return not any(
            stored.at("complete-model") or stored.at("report") for stored in self.executions
        )

    @property
    def report(self) -> Mapping[str, Any]:
        """Returns the report of the latest execution."""
        return max(self.executions, key=lambda stored: stored.execution.time).report

    @property
    def start(self) -> int:
        return start(self.first)

    @property
    def name(self) -> str:
        return self.first.digest or f"md5 {self.first.execution.model}"


def expected(executions: Iterable[Execution], sources: Sources) -> list[ExpectedRun]:
    """Returns a run for each complete model, in the order of their original times."""
    stored_executions = [sources.of(execution) for execution in executions]
    digests = {
        stored.execution.model: stored.digest for stored in stored_executions if stored.digest
    }
    groups = defaultdict(list)
    for stored in stored_executions:
        model = stored.execution.model
        groups[digests.get(model, model)].append(stored)
    ordered = (sorted(each, key=lambda s: (start(s), s.execution.time)) for each in groups.values())
    expected = [ExpectedRun(executions=tuple(each)) for each in ordered]
    return sorted(expected, key=lambda run: (run.start, run.name))


def start(stored: Stored) -> int:
    """Returns the start time that the report has; those of earlier versions had none."""
    return int(stored.report.get("start_time", stored.execution.time))


def details(stored: Stored) -> Details:
    """Returns what the run alone recorded of itself."""
    report = stored.report
    if "start_time" in report:
        tags = {name: report["tags"][name] for name in PROCESS_TAGS if name in report["tags"]}
        start, end, name = report["start_time"], report["end_time"], report.get("run_name")
        return Details(start_time=start, end_time=end, run_name=name, tags=tags)
    name = stored.execution.experiment
    tags = {"dvc.exp.name": name} if name else {}
    time = stored.execution.time
    return Details(start_time=time, end_time=time, tags=tags)


def sections(stored: Stored) -> dict[str, Any]:
    """Returns the sections that no statement records, as params.yaml had them then."""
    recorded: dict[str, Any] = stored.report.get("params") or dict(stored.execution.sections)
    tracking = recorded["tracking"]
    shown = without_login(tracking["uri"]) if tracking["uri"] else None  # older ones took a login
    return {**recorded, "tracking": {**tracking, "uri": shown}}


def tracking(stored: Stored) -> Tracking:
    """Returns the section as it was then, but for the store. Raises ParamsError."""
    values = {**SINCE, **sections(stored)["tracking"], "uri": None}
    return read(TrackingParams, {"tracking": values}).tracking


def to_log(stored: Stored, directory: Path) -> RunContent:
    """Returns what is logged, laid out in `directory`. Raises PipelineError unless every byte is
    what was recorded and passed verify."""
    stored.check()
    paths = stored.lay_out(directory)
    paths.pop("report")
    named = {option.replace("-", "_"): path for option, path in paths.items()}
    made = RunContent(**named, sections=sections(stored))
    if not made.verified["passed"]:
        raise VerificationFailed(f"{stored.execution.where}: names a report that did not pass")
    return made
