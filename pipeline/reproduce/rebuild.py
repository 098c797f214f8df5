"""A chain of artifacts made again in a clone, each judged as soon as it is there."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.errors import CannotRun
from pipeline.project import CHECKPOINT, EXPORT_COMPLETE, VERIFY
from pipeline.provenance.lineage import Node
from pipeline.provenance.lineage import node as read_node
from pipeline.reproduce import code as reproduce_code
from pipeline.reproduce import run as reproduce_run
from pipeline.reproduce import text as reproduce_text
from pipeline.reproduce import tree
from pipeline.reproduce.cause import of_environments
from pipeline.reproduce.code import Code
from pipeline.reproduce.compare import compare_stage, predictions
from pipeline.reproduce.confined import Runner
from pipeline.reproduce.inputs import bring, remotes_lent
from pipeline.reproduce.report import Report
from pipeline.untrusted import plain_files

ANSWERS = {CHECKPOINT: "reference", EXPORT_COMPLETE: "examples"}
"""Where a stage's output has what the model answers."""
LARGEST = 1 << 42
"""Bytes of an artifact that foreign code makes."""
Say = Callable[[str], None]


class Rebuild:
    """The work in the clone, stage after stage; what comes of it goes into the report."""

    def __init__(
        self,
        report: Report,
        runner: Runner,
        trees: Mapping[Code, str],
        places: Mapping[str, Path],
        originals: Mapping[str, Path],
        say: Say,
    ):
        """`trees` are the trees of foreign code that were shown, by that code."""
        self.report, self.runner, self.trees, self.say = report, runner, trees, say
        self.places, self.originals = places, originals
        self.project = runner.ground.project
        self.python = reproduce_run.interpreter()
        self.code: Code | None = None
        self.rebuilt: dict[str, Path] = {}

    def check_out(self, code: Code) -> None:
        if code != self.code:
            reproduce_code.check_out(code, self.runner.ground, self.trees.get(code))
            self.code = code
            self.note(reproduce_code.strays(code, self.runner.ground))

    def choose_python(self, recorded_environment: bool) -> None:
        last = self.report.nodes[-1]
        if recorded_environment:
            self.say("building the recorded environment from requirements.lock ...")
            self.python = reproduce_run.recorded_environment(last, self.runner)
        present = reproduce_run.installed(self.python, self.runner)
        self.report.environment = list(of_environments(last.environment, present))
        self.report.rebuilt_environment = recorded_environment
        self.say(reproduce_text.environment(self.report, present))

    def make(self, node: Node) -> None:
        """Runs the stage and judges what it wrote. Raises CannotRun when it fails."""
        inputs = bring(node, self.rebuilt, self.runner, self.places)
        for each in inputs:
            self._say_origin(each.path, each.origin)
        self.report.inputs |= {each.path: each for each in inputs}
        recorded: dict[str, Any] = {}
        for other in (*self.report.nodes, node):
            recorded |= other.params
        self.report.unrecorded = reproduce_run.write_params(recorded, self.runner.ground)
        out = reproduce_run.output(node.stage, self.runner.ground)
        with remotes_lent(node, self.runner):
            run = reproduce_run.run(node.stage, self.runner, self.python, self._log(node.stage))
        if not run.passed:
            self.say(f"{node.stage} failed; its last lines:\n{run.output}")
            raise CannotRun(
                f"{node.stage}: failed: {run.output.rpartition(chr(10))[2] or 'silently'}"
            )
        self.rebuilt[out] = self._whole(out)
        original = self.originals.get(node.digest)
        comparison = compare_stage(node, self.rebuilt[out], original)
        self.report.stages.append((comparison, run.seconds))
        if node.stage in ANSWERS and original is not None and self.report.predictions is None:
            self.report.predictions = predictions(original, self.rebuilt[out], ANSWERS[node.stage])
        self.say(reproduce_text.stage_line(node.stage, run.seconds, str(comparison.verdict)))

    def _whole(self, out: str) -> Path:
        """Returns the directory that a stage wrote. Raises CannotRun for what is no artifact: with
        foreign code it may hold anything."""
        made = tree.demand_inside(self.runner.ground.clone, self.project / out)
        if self.runner.confined and (faults := plain_files.faults(made, LARGEST)):
            raise CannotRun(f"{out}: {faults[0]}")
        if not (made / provenance.NAME).is_file():
            raise CannotRun(f"{out}: the stage left no {provenance.NAME} in it")
        try:
            read_node(made / provenance.NAME)
        except ValueError as fault:
            raise CannotRun(f"{out}/{provenance.NAME}: {fault}") from None
        return made

    def verify(self) -> None:
        """Judges the rebuilt complete model: by the code's own verify, or with `examine` of this
        code where that code is foreign, for its word would prove nothing."""
        if self.runner.confined:
            model = self.rebuilt[next(reversed(self.rebuilt))]
            run = reproduce_run.examined(model, self._log(VERIFY))
        else:
            run = reproduce_run.run(VERIFY, self.runner, self.python, self._log(VERIFY))
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
        return self.runner.ground.scratch / f"{stage}.log"
