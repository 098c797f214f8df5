"""`python -m pipeline.examine <complete model from elsewhere>`: is it what it says, may it be
loaded, does it answer and train on as it says?

Until all of it is judged nothing of it is loaded, and then only in confined processes; none of its
code is run. Exit code 0: all passed; 1: something failed or was refused; 2: it was not found, or
this system cannot confine.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.params import Verify
from pipeline.config.reading import read
from pipeline.config.yaml_text import load_yaml
from pipeline.errors import CannotRun, ParamsError, PipelineError, VerificationFailed
from pipeline.examine import admission, loading
from pipeline.project import PARAMS, ROOT
from pipeline.sandbox import launcher, supervisor
from pipeline.text import escaped
from pipeline.verification.result import Fault, Result

NOT_PROVED = (
    "that its answers are right: it can have been trained to be wrong, also on inputs of "
    "somebody's choice alone",
    "that its metrics are true, and its lineage: only the digests fit each other, and who "
    "signs is believed",
    "that a library under it has no fault that a crafted file makes use of; that is what the "
    "confinement is for",
)


@dataclass(frozen=True, kw_only=True)
class Examined:
    verify: Verify


def main(arguments: list[str]) -> int:
    options = _arguments(arguments)
    try:
        if not options.directory.is_dir():
            raise CannotRun(f"{options.directory}: no such directory; give a complete model's")
        _demand_confinement(options.unconfined)
        results = _printed(_examine(options), quiet=options.json)
    except ParamsError as error:
        print(f"error: examine: {escaped(str(error))}", file=sys.stderr)
        return 1
    except PipelineError as error:
        print(f"error: examine: {escaped(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    passed = not any(result.faults for _, result in results)
    if options.json:
        print(json.dumps(_report(options.directory, results, passed), indent=1))
    else:
        _conclude(options.directory, results, passed)
    return 0 if passed else 1


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.examine",
        description="Whether a complete model from elsewhere is what it says, may be loaded, "
        "and answers and trains on as its examples say. None of its code is run.",
        epilog="exit code: 0 all passed, 1 something failed, 2 not found or it cannot be confined",
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--trusted-key", type=Path, action="append", default=[], metavar="PUB")
    parser.add_argument("--signature", type=Path, help="default: <directory>.sig")
    parser.add_argument("--unconfined", action="store_true", help="where the system cannot confine")
    parser.add_argument("--json", action="store_true", help="the same for programs")
    return parser.parse_args(arguments)


def _demand_confinement(unconfined: bool) -> None:
    lacking = launcher.lacking()
    if lacking and not unconfined:
        what = "; ".join(f"{name}: {reason}" for name, reason in lacking.items())
        raise CannotRun(
            f"this system cannot confine what is loaded ({what}); examine it on a Linux that can, "
            "or take the risk with --unconfined"
        )


def settings() -> Verify:
    """Reads params.verify of this clone, wherever the command is run. Raises ParamsError."""
    if not (ROOT / PARAMS).is_file():
        raise ParamsError(f"{ROOT / PARAMS}: missing; run `dvc repro compose` there")
    return read(Examined, load_yaml((ROOT / PARAMS).read_text(), str(PARAMS)) or {}).verify


def trusted(verify: Verify) -> list[Path]:
    return [ROOT / key for key in verify.trusted_keys]


def _examine(options: argparse.Namespace) -> Iterator[tuple[str, Result]]:
    verify = settings()
    keys = options.trusted_key or trusted(verify)
    with tempfile.TemporaryDirectory() as scratch:
        copy, directory = Path(scratch) / "model", options.directory
        admitted = True
        for check, result in admission.admit(directory, copy, verify, keys, options.signature):
            admitted = admitted and not result.faults
            yield check, result
        if admitted:
            for check, result in loading.answer(copy, verify):
                yield check, _with_place(result, copy, directory)


def _with_place(result: Result, copy: Path, directory: Path) -> Result:
    """Returns the result with the name that the user gave, not that of the private copy."""
    faults = (Fault(each.text.replace(str(copy), str(directory))) for each in result.faults)
    return dataclasses.replace(result, faults=tuple(faults))


def demand_admitted(directory: Path, copy: Path, *, known: bool = False) -> None:
    """Writes `copy`, which may be loaded. Raises VerificationFailed with the first fault.

    `known`: its digest is that of a model that was admitted before, with a signature if one is
    demanded.
    """
    verify = settings()
    keys = [] if known else trusted(verify)
    for check, result in admission.admit(directory, copy, verify, keys, None):
        if result.faults:
            raise VerificationFailed(f"{check}: {escaped(result.text)}; do not load it")


def _printed(results: Iterator[tuple[str, Result]], quiet: bool) -> list[tuple[str, Result]]:
    """Returns the results, each of which is printed as it comes."""
    finished = []
    for check, result in results:
        finished.append((check, result))
        if not quiet:
            print(f"{result.verdict:<9} {check:<26} {escaped(result.text)}", flush=True)
    return finished


def _report(
    directory: Path, results: Sequence[tuple[str, Result]], passed: bool
) -> dict[str, object]:
    return {
        "directory": str(directory),
        "passed": passed,
        "checks": [
            {"check": check, "verdict": result.verdict, "text": result.text}
            for check, result in results
        ],
        "confined": supervisor.description(settings().limits),
        "not_judged": _not_judged(results),
        "not_proved": list(NOT_PROVED),
    }


def _not_judged(results: Sequence[tuple[str, Result]]) -> list[str]:
    return [f"{check}: {result.text}" for check, result in results if result.verdict == "not done"]


def _conclude(directory: Path, results: Sequence[tuple[str, Result]], passed: bool) -> None:
    name = escaped(str(directory))
    if not passed:
        print(f"\n{name}: DO NOT LOAD IT")
        return
    not_judged = _not_judged(results)
    print("\n" + "".join(f"NOT JUDGED: {escaped(each)}\n" for each in not_judged), end="")
    rest = " but for what is not judged" if not_judged else ""
    print(f"{name}: passed all of this{rest}")
    for what, how in supervisor.description(settings().limits).items():
        print(f"  confined, {what}: {how}")
    for each in NOT_PROVED:
        print(f"  not proved: {each}")
