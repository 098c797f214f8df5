"""The task `answer`: a format answers from its own files, and again from a changed copy of them."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import perturbation
from .inputs import arrays, inputs_of, of_test
from .job import Job
from .loading import formats, set_threads, without_unused
from .report import Arrays, Report, peak_mib, plain


def answer(job: Job, report: Report) -> None:
    """Answers every batch twice, and once more after a second load and with a changed weight."""
    batches = {batch: inputs_of(Path(path)) for batch, path in job.batches.items()}
    directory = Path(job.complete_model)

    def load(at: str) -> Callable[[Arrays], Arrays]:
        start = report.start(at) - (report.imports_took if at == "first_load" else 0.0)
        predict: Callable[[Arrays], Arrays] = loader.load(directory)
        report.time(f"{at}_seconds", start)
        set_threads(job)
        return predict

    def call(kind: str, predict: Callable[[Arrays], Arrays]) -> None:
        for batch, inputs in batches.items():
            start = report.start(f"{kind}: {batch}")
            outputs = predict(dict(inputs))
            report.time("first_call_seconds", start)
            report.keep(f"{kind}/{batch}", outputs)

    report.start("import")
    loader = formats().loader(job.format)
    gc.disable()  # what a framework makes on import stays: a fifth of the time went looking at it
    with without_unused(job):
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
        _answer_questions(arrays(job.questions), predict, loader.refusals(), report)
    del predict
    gc.collect()
    if job.copy is None:
        return
    report.start("weights")
    places = {name: tuple(place) for name, place in loader.weights(directory).items()}
    report.facts["file"] = formats().declared(job.format).file
    report.facts["places"] = sorted({place[:3] for place in places.values()})
    influence = arrays(job.influence) if job.influence else {}
    for names, strength, number in perturbation.changes(places, directory, influence):
        report.facts |= {"weight": names[0], "strength": strength, "followed": number}
        start = report.start("perturbed")
        predict = _perturbed(job, places, names, strength)
        report.time("perturbed_seconds", start)
        call("perturbed", predict)
        del predict
        if _moved(report.arrays, job.allowed):
            break


def _perturbed(
    job: Job, places: dict[str, perturbation.Place], names: list[str], strength: float
) -> Callable[[Arrays], Arrays]:
    """Loads it with these weights changed: in a copy, unless the format does without."""
    directory, copy = Path(job.complete_model), Path(str(job.copy))
    predict: Callable[[Arrays], Arrays]
    if formats().declared(job.format).loads_changed:
        altered = perturbation.altered(places, directory, names, strength)
        predict = formats().changed_loader(job.format).load_changed(directory, altered)
    else:
        unread = formats().unread(job.format)
        perturbation.perturb(places, directory, copy, names, strength, unread)
        predict = formats().loader(job.format).load(copy)
    set_threads(job)
    return predict


def _answer_questions(
    asked: Arrays, predict: Callable[[Arrays], Arrays], refusals: Any, report: Report
) -> None:
    """Asks for each row by itself, and reports the refused ones by their numbers."""
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
    """Returns whether the perturbed model answers otherwise than the model itself."""
    kinds: dict[str, Arrays] = {"outputs": {}, "perturbed": {}}
    for key, array in arrays.items():
        kind, _, name = key.partition("/")
        if kind in kinds:
            kinds[kind][name] = array
    return perturbation.moved(kinds["perturbed"], kinds["outputs"], allowed)


def _predict_test(job: Job, predict: Callable[[Arrays], Arrays]) -> None:
    """Writes the scored outputs for the test split, which is never in memory as a whole."""
    test = {name: of_test(job, name, Path(path)) for name, path in job.test.items()}
    with Path(str(job.test_answers)).open("wb") as file:
        for start in range(0, min(map(len, test.values())), job.rows):
            outputs = predict({k: np.array(v[start : start + job.rows]) for k, v in test.items()})
            for name in job.scored:
                np.lib.format.write_array(file, plain(name, outputs[name]), allow_pickle=False)
