"""The tasks: a format answers, trains on, or looks at its own files, where no source can be had."""

import contextlib
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from . import perturbation
from .inputs import arrays, inputs_of, is_target, of_test, rows_of_step
from .job import Job
from .report import Arrays, Report, digest_of, peak_mib, plain

LONGEST = 400
UNUSED = ("matplotlib", "pandas", "sklearn")
"""TensorFlow and Keras do without, but import them where they are installed: a third of it all."""


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
    """Package -> the error on importing it; None where that, alas, went well."""
    errors: dict[str, str | None] = {}
    for name in packages:
        try:
            importlib.import_module(name)
            errors[name] = None
        except ImportError as error:
            errors[name] = f"{type(error).__name__}: {error}"
    return errors


def _formats() -> ModuleType:
    """Returns the copy of the package that lies beside this one."""
    return importlib.import_module("formats")


@contextlib.contextmanager
def _without_unused(job: Job) -> Iterator[None]:
    """Counts UNUSED as missing while TensorFlow is imported."""
    absent = UNUSED if "tensorflow" in _formats().declared(job.format).requires else ()
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    yield
    for name in absent:
        del sys.modules[name]


def _answer(job: Job, report: Report) -> None:
    """Answers every batch twice, and once more after a second load and with a changed weight."""
    batches = {batch: inputs_of(Path(path)) for batch, path in job.batches.items()}
    directory = Path(job.complete_model)

    def load(at: str, source: Path = directory) -> Callable[[Arrays], Arrays]:
        start = report.start(at) - (report.imports_took if at == "first_load" else 0.0)
        predict: Callable[[Arrays], Arrays] = loader.load(source)
        report.time(f"{at}_seconds", start)
        _set_threads(job)
        return predict

    def call(kind: str, predict: Callable[[Arrays], Arrays]) -> None:
        for batch, inputs in batches.items():
            start = report.start(f"{kind}: {batch}")
            outputs = predict(dict(inputs))
            report.time("first_call_seconds", start)
            report.keep(f"{kind}/{batch}", outputs)

    report.start("import")
    loader = _formats().loader(job.format)
    gc.disable()  # what a framework makes on import stays: a fifth of the time went looking at it
    with _without_unused(job):
        predict = load("first_load")
    gc.enable()
    call("outputs", predict)
    call("again", predict)
    if job.scored:
        report.start("test")
        _predict_test(job, predict)
    report.facts["timing"]["peak_mib"] = peak_mib()
    del predict
    gc.collect()  # or two of it are held: a program refers to itself
    predict = load("load")
    call("reloaded", predict)
    if job.questions:
        report.start("questions")
        _ask(arrays(job.questions), predict, loader.refusals(), report)
    del predict
    gc.collect()
    if job.copy is None:
        return
    report.start("weights")
    places = {name: tuple(place) for name, place in loader.weights(directory).items()}
    report.facts["file"] = _formats().declared(job.format).file
    report.facts["places"] = sorted({place[:3] for place in places.values()})
    influence = arrays(job.influence) if job.influence else {}
    unread = _formats().unread(job.format)
    for names, strength, number in perturbation.changes(places, directory, influence):
        perturbation.perturb(places, directory, Path(job.copy), names, strength, unread)
        report.facts |= {"weight": names[0], "strength": strength, "followed": number}
        call("perturbed", load("perturbed", Path(job.copy)))
        if _moved(report.arrays, job.allowed):
            break


def _ask(asked: Arrays, predict: Callable[[Arrays], Arrays], refusals: Any, report: Report) -> None:
    """Asks row by row; what is refused is told by its number."""
    refused = report.facts["refused_rows"] = {}
    inputs = {k.removeprefix("input."): v for k, v in asked.items() if k.startswith("input.")}
    for number in range(len(asked["question"])):
        try:
            outputs = predict({name: rows[number : number + 1] for name, rows in inputs.items()})
        except refusals as error:
            refused[str(number)] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        else:
            report.keep(f"questions/{number}", outputs)


def _moved(arrays: Arrays, allowed: tuple[float, float]) -> bool:
    """Whether the perturbed model answers otherwise than the model itself."""
    kinds: dict[str, Arrays] = {"outputs": {}, "perturbed": {}}
    for key, array in arrays.items():
        kind, _, name = key.partition("/")
        if kind in kinds:
            kinds[kind][name] = array
    return perturbation.moved(kinds["perturbed"], kinds["outputs"], allowed)


def _train(job: Job, report: Report) -> None:
    """Takes the steps of the reference, and answers the batch `seven` after them."""
    directory = Path(job.complete_model)
    data = arrays(job.training)
    report.start("import")
    loader = _formats().training_loader(job.format)
    start = report.start("loading it") - report.imports_took
    gc.disable()
    with _without_unused(job):
        trainer = loader.load_training(directory)
    gc.enable()
    report.time("first_load_seconds", start)
    _set_threads(job)
    start = time.perf_counter()
    for step, ends_epoch in enumerate(data["ends_epoch"]):
        report.start(f"step {step}")
        of_step = rows_of_step(data, step)
        inputs = {k.removeprefix("input."): v for k, v in of_step.items() if not is_target(k)}
        targets = {k.removeprefix("target."): v for k, v in of_step.items() if is_target(k)}
        report.keep("losses", {str(step): trainer.step(inputs, targets)})
        if ends_epoch:
            trainer.end_epoch(float(data.get("val_loss", np.nan)))
    report.time("steps_seconds", start)
    report.start("state")
    if job.digests:
        state = ((name, digest_of(plain(name, each))) for name, each in trainer.views())
        report.facts["digests"] = dict(state)
    else:
        report.keep("state", trainer.state())
    report.start("answers")
    report.keep("answers", trainer.predict(inputs_of(Path(job.batches["seven"]))))
    report.facts["timing"]["peak_mib"] = peak_mib()
    places = loader.optimizer_state(directory).values()
    report.facts["places"] = sorted({tuple(place[:3]) for place in places})


def _screen(job: Job, report: Report) -> None:
    """Has the format look at its own files; it raises ValueError for what it would not load."""
    report.start("screen")
    _formats().screen(job.format).screen(Path(job.complete_model))


def _set_threads(job: Job) -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(job.threads)


def _predict_test(job: Job, predict: Callable[[Arrays], Arrays]) -> None:
    """Writes the scored outputs for the test split, which is never in memory as a whole."""
    test = {name: of_test(job, name, Path(path)) for name, path in job.test.items()}
    with Path(str(job.test_answers)).open("wb") as file:
        for start in range(0, min(map(len, test.values())), job.rows):
            outputs = predict({k: np.array(v[start : start + job.rows]) for k, v in test.items()})
            for name in job.scored:
                np.lib.format.write_array(file, plain(name, outputs[name]), allow_pickle=False)


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
    with _without_unused(job):
        adopter = _formats().adopter(job.format)
        adopter.adopt(Path(job.complete_model), target, job.ports["inputs"], job.ports["outputs"])


TASKS = {
    "answer": _answer,
    "train": _train,
    "screen": _screen,
    "tokenize": _tokenize,
    "adopt": _adopt,
}
