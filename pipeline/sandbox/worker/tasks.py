"""The tasks: a format answers, trains on, or looks at its own files, where no source can be had."""

import importlib
import json
import os
import sys
from collections.abc import Iterable
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import numpy as np

from .answering import answer
from .job import Job
from .loading import formats, without_unused
from .report import Report
from .speed import measure
from .training_on import train

LONGEST = 400


class Refusal(MetaPathFinder):
    """Is asked before any other finder; what it refuses cannot be imported from anywhere."""

    def __init__(self, packages: Iterable[str]):
        self.packages = frozenset(packages)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"{name} is refused: the model's source", name=name)


def main() -> None:
    """Does the job that the command line names, and ends the process; a second argument is what
    imports took that had been done before the job came."""
    path, *seconds = sys.argv[1:]
    do(Job(**json.loads(Path(path).read_text())), *map(float, seconds))
    os._exit(0)  # everything is written; a framework would take another second to come down


def do(job: Job, imports_took: float = 0.0) -> None:
    """Runs the task; an exception becomes a line of the report."""
    report = Report(job, imports_took)

    def leave(kind: type[BaseException], value: BaseException, _: Any) -> None:
        text = f"{kind.__name__}: {' '.join(str(value).split())}"
        report.facts["error"] = _without_places(text, job)
        report.write()

    sys.excepthook = leave
    _isolate(job)
    before = report.facts["proofs"] = _refusals(job.refused)
    TASKS[job.task](job, report)
    after = _refusals(job.refused)
    report.facts["proofs"] = {name: text and after[name] for name, text in before.items()}
    report.facts["at"] = "done"
    report.write()


def _without_places(text: str, job: Job) -> str:
    """Leaves out where on this machine anything lies, which is nobody's business."""
    places = [job.copy, job.complete_model, job.repository, str(Path.cwd()), sys.prefix]
    for place in sorted(filter(None, places), key=len, reverse=True):
        text = text.replace(place, Path(place).name)
    return text[:LONGEST]


def _isolate(job: Job) -> None:
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Refusal(job.refused))
    repository = Path(job.repository).resolve()
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != repository]
    if job.source:
        sys.path.insert(0, job.source)


def _refusals(packages: Iterable[str]) -> dict[str, str | None]:
    """Returns, by package, the error on importing it; None where the import, which had to fail,
    went well."""
    errors: dict[str, str | None] = {}
    for name in packages:
        try:
            importlib.import_module(name)
            errors[name] = None
        except ImportError as error:
            errors[name] = f"{type(error).__name__}: {error}"
    return errors


def _screen(job: Job, report: Report) -> None:
    """Has the format look at its own files; it raises ValueError for what it would not load."""
    report.start("screen")
    formats().screen(job.format).screen(Path(job.complete_model))


def _tokenize(job: Job, report: Report) -> None:
    """Makes ids of texts with each tokenizer of the complete model."""
    report.start("tokenizers")
    library = importlib.import_module("tokenizers")
    for name, each in json.loads(Path(str(job.texts)).read_text()).items():
        report.start(f"ids of {name}")
        path = Path(job.complete_model) / each["file"]
        tokenizer = library.Tokenizer.from_file(str(path))
        for number, text in enumerate(each["texts"]):
            ids = tokenizer.encode(text).ids[: each["most"]]
            report.keep(f"ids/{name}", {str(number): np.array(ids, np.int64)})


def _adopt(job: Job, report: Report) -> None:
    """Writes a program that was made elsewhere as the format has it."""
    report.start("adopt")
    target = Path(str(job.copy))
    target.mkdir()
    with without_unused(job):
        adopter = formats().adopter(job.format)
        adopter.adopt(Path(job.complete_model), target, job.ports["inputs"], job.ports["outputs"])


TASKS = {
    "answer": answer,
    "train": train,
    "screen": _screen,
    "time": measure,
    "tokenize": _tokenize,
    "adopt": _adopt,
}
