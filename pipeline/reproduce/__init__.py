"""`python -m pipeline.reproduce WHAT`: make it again from what its statements record, and compare.

Exit codes: 0 the same (bytes, or content), 1 different or not verified, 2 could not run.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline import provenance
from pipeline.errors import CannotRun, PipelineError
from pipeline.project import EXPORT_COMPLETE
from pipeline.provenance.lineage import Node
from pipeline.reproduce import claims, consent, trust
from pipeline.reproduce import code as reproduce_code
from pipeline.reproduce import run as reproduce_run
from pipeline.reproduce import text as reproduce_text
from pipeline.reproduce.changes import Changes, changes
from pipeline.reproduce.code import Code, Ground, Repository
from pipeline.reproduce.confined import Runner
from pipeline.reproduce.rebuild import Rebuild, Say
from pipeline.reproduce.report import Report
from pipeline.resolve import Resolved, resolve
from pipeline.run import signals
from pipeline.text import escaped, escaped_lines

EPILOG = """WHAT is a complete model's directory or a file in it, any other artifact's directory, an
MLflow run id, models:/<name>/<version>, runs:/<id>/..., a sha256, a git revision, or a DVC
experiment. Exit codes: 0 the same bytes or the same content; 1 different, or the rebuilt model is
not verified; 2 could not run, and one line says what is missing."""


def main(arguments: list[str]) -> int:
    options = _arguments(arguments)

    def say(text: str) -> None:
        print(escaped_lines(text), file=sys.stderr if options.json else sys.stdout, flush=True)

    try:
        signals.install()
        report = reproduce(options, say)
    except PipelineError as fault:
        print(f"error: reproduce: {escaped(str(fault))}", file=sys.stderr)
        if options.json:
            print(
                json.dumps({"what": options.what, "result": "could not run", "error": str(fault)})
            )
        return 2
    except signals.Interrupted as end:
        print(f"reproduce: ended by {end}", file=sys.stderr)
        return 128 + end.number
    if options.json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        print(escaped_lines(reproduce_text.result(report)), flush=True)
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
    parser.add_argument(
        consent.FLAG,
        dest="foreign",
        action="store_true",
        help="run, confined, code that is not this clone's own: a patch that came with the "
        "artifact, or a commit of no branch of the clone or its remote; it is shown first",
    )
    parser.add_argument(
        "--network", action="store_true", help="foreign code may use the network, too"
    )
    parser.add_argument("--keep", metavar="DIR", type=Path, help="leave all that was made there")
    return parser.parse_args(arguments)


def reproduce(options: argparse.Namespace, say: Say) -> Report:
    """Raises PipelineError for what is missing, and where foreign code may not be run."""
    source = reproduce_code.repository(Path(options.repository))
    resolved = resolve(options.what, source.project)
    _demand_own(source, resolved)
    nodes = reproduce_run.chain(resolved.node, resolved.known)
    claims.demand_plain(nodes)
    with _scratch(options.keep) as scratch:
        originals = _originals(resolved, nodes, scratch)
        _demand_intact(resolved)
        codes, notes = _codes(nodes, originals, source)
        foreign = {code: changes(code, source.top) for code in dict.fromkeys(codes) if code.foreign}
        called = _called(nodes, codes, source)
        runner = Runner(
            ground=Ground(scratch=scratch, source=source),
            confined=bool(foreign or called),
            network=options.network,
            gpu=any(node.params.get("train", {}).get("device", "cpu") != "cpu" for node in nodes),
        )
        report = Report(options.what, source, nodes, codes, options.keep)
        if runner.confined:
            _demand_agreement(foreign, called, runner, options, say)
        say(reproduce_text.announcement(report, foreign))
        reproduce_code.clone(runner.ground, runner.confined)
        trees = {code: each.tree for code, each in foreign.items()}
        rebuild = Rebuild(report, runner, trees, resolved.places, originals, say)
        for text in notes:
            rebuild.note(text)
        try:
            _rebuild(rebuild, options.environment == "recorded")
        finally:
            runner.ground.point_at_git()  # who keeps the clone will run git there
        return report


def _rebuild(rebuild: Rebuild, recorded_environment: bool) -> None:
    report = rebuild.report
    rebuild.check_out(report.codes[-1])
    rebuild.choose_python(recorded_environment)
    for node, code in zip(report.nodes, report.codes, strict=True):
        rebuild.check_out(code)
        rebuild.make(node)
    if report.nodes[-1].stage == EXPORT_COMPLETE:
        rebuild.verify()


def _called(nodes: list[Node], codes: list[Code], source: Repository) -> list[str]:
    """Returns what only the recorded parameters have the code call, not the commit's
    configuration."""
    problems: list[str] = []
    for node, code in zip(nodes, codes, strict=True):
        named = reproduce_code.targets(node.params)
        problems += trust.unnamed(source.top, code.commit, named) if named else []
        words = trust.commands(node.params)
        problems += trust.unsaid(source.top, code.commit, words) if words else []
    return list(dict.fromkeys(problems))


def _demand_agreement(
    foreign: Mapping[Code, Changes],
    called: list[str],
    runner: Runner,
    options: argparse.Namespace,
    say: Say,
) -> None:
    """Raises CannotRun."""
    if options.environment == "recorded" and not options.network:
        raise CannotRun(
            "--environment recorded: installs packages, by the Makefile of a stranger's code; "
            "add --network for it, or leave it out"
        )
    consent.demand(foreign, called, runner.description(), options.foreign, say)


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


def _originals(resolved: Resolved, nodes: list[Node], scratch: Path) -> dict[str, Path]:
    """Returns directories at hand; what only DVC's cache has becomes one of links into it."""
    originals = dict(resolved.places)
    for node in nodes:
        files = resolved.cached.get(node.digest, {})
        if node.digest not in originals and files:
            originals[node.digest] = scratch / "cached" / node.digest
            for name, path in files.items():
                link = originals[node.digest] / name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
    return originals


def _demand_own(source: Repository, resolved: Resolved) -> None:
    """Raises CannotRun for a repository that came within the artifact, which is not the user's to
    vouch for."""
    for place in resolved.places.values():
        if source.top.is_relative_to(place.resolve()):
            raise CannotRun(
                f"{source.top}: came with the artifact, so its code is not run; name a clone of "
                "your own with --repository PATH"
            )


def _demand_intact(resolved: Resolved) -> None:
    """Raises CannotRun for a statement whose seal is broken: it vouches for nothing, so there is
    nothing to make again."""
    place = resolved.places.get(resolved.node.digest)
    if place is None:
        return
    for fault in provenance.faults(place):
        if fault.startswith(f"{place / provenance.NAME}:"):
            raise CannotRun(f"{fault}; get the directory again from where it came")


def _codes(
    nodes: list[Node], originals: Mapping[str, Path], source: Repository
) -> tuple[list[Code], list[str]]:
    """Returns the code of each stage, and what to say about it.

    A stage whose code is not at hand takes that of the next. DVC does not run a stage again whose
    code files are as they were, so they are the same, and its statement alone comes out another.
    """
    codes: list[Code] = []
    notes, known = [], dict[str, bool]()
    for node in reversed(nodes):
        own = [originals[node.digest]] if node.digest in originals else []
        places = [*own, *originals.values()]
        try:
            codes.append(reproduce_code.recorded(node, source, places, known))
        except CannotRun as fault:
            if not codes:
                raise
            codes.append(codes[-1])
            notes.append(f"{fault}; it runs with the code of the next stage, {codes[-1].label}")
    return codes[::-1], notes
