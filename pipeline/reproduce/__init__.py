"""`python -m pipeline.reproduce WHAT`: make it again from what its statements record, and compare.

Exit codes: 0 the same (bytes, or content), 1 different or not verified, 2 could not run.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.errors import CannotRun, PipelineError
from pipeline.provenance.lineage import Node
from pipeline.reproduce import code as reproduce_code
from pipeline.reproduce import page as reproduce_page
from pipeline.reproduce import run as reproduce_run
from pipeline.reproduce.cause import of_environments
from pipeline.reproduce.code import Code, Repository
from pipeline.reproduce.compare import judge, predictions
from pipeline.reproduce.inputs import bring
from pipeline.reproduce.report import Report
from pipeline.resolve import Found, resolve
from pipeline.text import escaped, escaped_lines

MODEL = "export-complete"
VERIFY = "verify"
ANSWERS = {"checkpoint": "reference", MODEL: "examples"}
"""Where a stage's output has what the model answers."""
Say = Callable[[str], None]

EPILOG = """WHAT is a complete model's directory or a file in it, any other artifact's directory, an
MLflow run id, models:/<name>/<version>, runs:/<id>/..., a sha256, a git revision, or a DVC
experiment. Exit codes: 0 the same bytes or the same content; 1 different, or the rebuilt model is
not verified; 2 could not run, and one line says what is missing."""


def main(arguments: list[str]) -> int:
    given = _arguments(arguments)

    def say(text: str) -> None:
        print(escaped_lines(text), file=sys.stderr if given.json else sys.stdout, flush=True)

    try:
        report = reproduce(
            given.what, Path(given.repository), given.environment == "recorded", given.keep, say
        )
    except PipelineError as fault:
        print(f"error: reproduce: {escaped(str(fault))}", file=sys.stderr)
        if given.json:
            print(json.dumps({"what": given.what, "result": "could not run", "error": str(fault)}))
        return 2
    except KeyboardInterrupt:
        return 130
    if given.json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        print(escaped_lines(reproduce_page.result(report)), flush=True)
    return 0 if report.same else 1


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.reproduce",
        description="Makes an artifact again in a scratch clone, from the code, data and "
        "parameters that its statements record, and says whether it is the same.",
        epilog=EPILOG,
    )
    parser.add_argument("what", metavar="WHAT")
    parser.add_argument("--json", action="store_true", help="the result for programs, on stdout")
    parser.add_argument(
        "--environment",
        choices=("present", "recorded"),
        default="present",
        help="run with what is installed here, or install the recorded requirements.lock first",
    )
    parser.add_argument(
        "--repository",
        metavar="PATH",
        default=".",
        help="a clone that has the recorded commit; its code is run (default: where you stand)",
    )
    parser.add_argument("--keep", metavar="DIR", type=Path, help="leave all that was made there")
    return parser.parse_args(arguments)


def reproduce(what: str, path: Path, rebuild: bool, keep: Path | None, say: Say) -> Report:
    """`rebuild`: the recorded environment, too. Raises PipelineError for what is missing."""
    source = reproduce_code.repository(path)
    found = resolve(what, source.project)
    _demand_own(source, found)
    nodes = reproduce_run.chain(found.node, found.known)
    with _scratch(keep) as scratch:
        originals = _originals(found, nodes, scratch)
        _demand_intact(found)
        codes, notes = _codes(nodes, originals, source)
        report = Report(what, source, nodes, codes, keep)
        say(reproduce_page.announcement(report))
        clone = scratch / "clone"
        reproduce_code.clone(source, clone)
        work = _Work(report, clone, scratch, found.places, originals, say)
        for text in notes:
            work.note(text)
        work.check_out(codes[-1])
        work.choose_python(rebuild)
        for node, code in zip(nodes, codes, strict=True):
            work.check_out(code)
            work.make(node)
        if found.node.stage == MODEL:
            work.verify()
        return report


@contextlib.contextmanager
def _scratch(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="reproduce-") as temporary:
            yield Path(temporary).resolve()
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise CannotRun(f"{keep}: is there already; give --keep a directory that is empty or new")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()


def _originals(found: Found, nodes: list[Node], scratch: Path) -> dict[str, Path]:
    """Directories at hand; what only DVC's cache has becomes one of links into it."""
    originals = dict(found.places)
    for node in nodes:
        held = found.cached.get(node.digest, {})
        if node.digest not in originals and held:
            originals[node.digest] = scratch / "cached" / node.digest
            for name, path in held.items():
                link = originals[node.digest] / name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
    return originals


def _demand_own(source: Repository, found: Found) -> None:
    """A repository that came within the artifact is not the user's to vouch for."""
    for place in found.places.values():
        if source.top.is_relative_to(place.resolve()):
            raise CannotRun(
                f"{source.top}: came with the artifact, so its code is not run; name a clone of "
                "your own with --repository PATH"
            )


def _demand_intact(found: Found) -> None:
    """A statement whose seal is broken vouches for nothing, so there is nothing to make again."""
    place = found.places.get(found.node.digest)
    if place is None:
        return
    for fault in provenance.faults(place):
        if fault.startswith(f"{place / provenance.NAME}:"):
            raise CannotRun(f"{fault}; get the directory again from where it came")


def _codes(
    nodes: list[Node], originals: Mapping[str, Path], source: Repository
) -> tuple[list[Code], list[str]]:
    """Of each stage, and what to say about them.

    A stage whose code is not at hand takes that of the next. DVC does not run a stage again whose
    code files are as they were, so they are the same, and its statement alone comes out another.
    """
    found: list[Code] = []
    notes = []
    for node in reversed(nodes):
        own = [originals[node.digest]] if node.digest in originals else []
        try:
            found.append(reproduce_code.recorded(node, source, [*own, *originals.values()]))
        except CannotRun as fault:
            if not found:
                raise
            found.append(found[-1])
            notes.append(f"{fault}; it runs with the code of the next stage, {found[-1].label}")
    return found[::-1], notes


class _Work:
    """What is under way in the clone."""

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
        self.made: dict[str, Path] = {}

    def check_out(self, code: Code) -> None:
        if code != self.code:
            reproduce_code.check_out(code, self.clone)
            self.code = code
            self.note(reproduce_code.strays(code, self.project))

    def choose_python(self, rebuild: bool) -> None:
        last = self.report.nodes[-1]
        if rebuild:
            self.say("building the recorded environment from requirements.lock ...")
            self.python = reproduce_run.recorded_environment(last, self.project)
        present = reproduce_run.installed(self.python, self.project)
        self.report.environment = list(of_environments(last.environment, present))
        self.report.rebuilt_environment = rebuild
        self.say(reproduce_page.environment(self.report, present))

    def make(self, node: Node) -> None:
        """Runs the stage and judges what it wrote. Raises CannotRun when it fails."""
        inputs = bring(node, self.made, self.project, self.report.source, self.places)
        for each in inputs:
            self._take(each.path, each.origin)
        self.report.inputs |= {each.path: each for each in inputs}
        recorded: dict[str, Any] = {}
        for other in (*self.report.nodes, node):
            recorded |= other.params
        self.report.unrecorded = reproduce_run.write_params(recorded, self.project)
        out = reproduce_run.output(node.stage, self.project)
        ran = reproduce_run.run(node.stage, self.project, self.python, self._log(node.stage))
        if not ran.passed:
            self.say(f"{node.stage} failed; its last lines:\n{ran.output}")
            raise CannotRun(
                f"{node.stage}: failed: {ran.output.rpartition(chr(10))[2] or 'silently'}"
            )
        self.made[out] = self.project / out
        original = self.originals.get(node.digest)
        judged = judge(node, self.made[out], original)
        self.report.stages.append((judged, ran.seconds))
        if node.stage in ANSWERS and original is not None and self.report.predictions is None:
            self.report.predictions = predictions(original, self.made[out], ANSWERS[node.stage])
        self.say(reproduce_page.stage_line(node.stage, ran.seconds, str(judged.verdict)))

    def verify(self) -> None:
        ran = reproduce_run.run(VERIFY, self.project, self.python, self._log(VERIFY))
        self.report.verified = ran.passed
        self.report.verify_seconds = ran.seconds
        self.say(
            reproduce_page.stage_line(VERIFY, ran.seconds, "passed" if ran.passed else "FAILED")
        )
        if not ran.passed:
            self.say(ran.output)

    def _take(self, path: str, origin: str | None) -> None:
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
