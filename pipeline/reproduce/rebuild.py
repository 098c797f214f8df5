"""A chain of artifacts made again in a clone, each judged as soon as it is there."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import CannotRun
from pipeline.project import CHECKPOINT, EXPORT_COMPLETE, VERIFY
from pipeline.provenance.lineage import Node
from pipeline.reproduce import code as reproduce_code
from pipeline.reproduce import run as reproduce_run
from pipeline.reproduce import text as reproduce_text
from pipeline.reproduce.cause import of_environments
from pipeline.reproduce.code import Code
from pipeline.reproduce.compare import compare_stage, predictions
from pipeline.reproduce.inputs import bring
from pipeline.reproduce.report import Report

ANSWERS = {CHECKPOINT: "reference", EXPORT_COMPLETE: "examples"}
"""Where a stage's output has what the model answers."""
Say = Callable[[str], None]


class Rebuild:
    """The work in the clone, stage after stage; what comes of it goes into the report."""

    def __init__(
        self,
        report: Report,
        clone: Path,
        scratch: Path,
        places: Mapping[str, Path],
        originals: Mapping[str, Path],
        say: Say,
    ):
        self.report, self.clone, self.scratch, self.say = report, clone, scratch, say
        self.places, self.originals = places, originals
        self.project = clone / report.source.prefix
        self.python = reproduce_run.interpreter()
        self.code: Code | None = None
        self.rebuilt: dict[str, Path] = {}

    def check_out(self, code: Code) -> None:
        if code != self.code:
            reproduce_code.check_out(code, self.clone)
            self.code = code
            self.note(reproduce_code.strays(code, self.project))

    def choose_python(self, recorded_environment: bool) -> None:
        last = self.report.nodes[-1]
        if recorded_environment:
            self.say("building the recorded environment from requirements.lock ...")
            self.python = reproduce_run.recorded_environment(last, self.project)
        present = reproduce_run.installed(self.python, self.project)
        self.report.environment = list(of_environments(last.environment, present))
        self.report.rebuilt_environment = recorded_environment
        self.say(reproduce_text.environment(self.report, present))

    def make(self, node: Node) -> None:
        """Runs the stage and judges what it wrote. Raises CannotRun when it fails."""
        inputs = bring(node, self.rebuilt, self.project, self.report.source, self.places)
        for each in inputs:
            self._say_origin(each.path, each.origin)
        self.report.inputs |= {each.path: each for each in inputs}
        recorded: dict[str, Any] = {}
        for other in (*self.report.nodes, node):
            recorded |= other.params
        self.report.unrecorded = reproduce_run.write_params(recorded, self.project)
        out = reproduce_run.output(node.stage, self.project)
        run = reproduce_run.run(node.stage, self.project, self.python, self._log(node.stage))
        if not run.passed:
            self.say(f"{node.stage} failed; its last lines:\n{run.output}")
            raise CannotRun(
                f"{node.stage}: failed: {run.output.rpartition(chr(10))[2] or 'silently'}"
            )
        self.rebuilt[out] = self.project / out
        original = self.originals.get(node.digest)
        comparison = compare_stage(node, self.rebuilt[out], original)
        self.report.stages.append((comparison, run.seconds))
        if node.stage in ANSWERS and original is not None and self.report.predictions is None:
            self.report.predictions = predictions(original, self.rebuilt[out], ANSWERS[node.stage])
        self.say(reproduce_text.stage_line(node.stage, run.seconds, str(comparison.verdict)))

    def verify(self) -> None:
        """Runs verify on the rebuilt complete model."""
        run = reproduce_run.run(VERIFY, self.project, self.python, self._log(VERIFY))
        self.report.verified = run.passed
        self.report.verify_seconds = run.seconds
        outcome = "passed" if run.passed else "FAILED"
        self.say(reproduce_text.stage_line(VERIFY, run.seconds, outcome))
        if not run.passed:
            self.say(run.output)

    def _say_origin(self, path: str, origin: str | None) -> None:
        if origin is None:
            self.note(f"{path}: the commit's is not the recorded one, which is not at hand")
        elif origin != "the commit":
            self.say(f"{path}: from {origin}, by its digest")

    def note(self, text: str | None) -> None:
        if text and text not in self.report.notes:
            self.report.notes.append(text)
            self.say(f"note: {text}")

    def _log(self, stage: str) -> Path:
        return self.scratch / f"{stage}.log"
