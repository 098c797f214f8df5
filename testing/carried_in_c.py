"""The Keras model that programs in C are tried with: a text and a number go in."""

import json
from collections.abc import Callable
from pathlib import Path

import keras
import pytest
from keras import layers

from pipeline import runtimes
from testing.formats import form
from testing.keras_cases import Case, text_and_numbers, visitors
from testing.runtimes import demand, described, save, write

Change = Callable[[keras.Model], None]


def exported(name: str, factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with the model, if the runtime is here; else it skips the test."""
    demand(name)
    folder = factory.mktemp(name) / "model"
    folder.mkdir()
    return export(name, folder)


def export(name: str, folder: Path, change: Change = lambda model: None) -> Path:
    """Writes a complete model with the program of that name; its examples are the answers from
    before the change."""
    keras.utils.set_random_seed(0)
    model = text_and_numbers()
    for batch, rows in {"one": 1, "seven": 7, "thirty": 30}.items():
        inputs = visitors(rows)
        answers = Case(model, visitors).eager(inputs)
        save(folder / f"examples/{batch}.npz", inputs, {"scores": answers})
    change(model)
    form(runtimes.declared(name).format).export(model, inputs, ["scores"], folder)
    schema = {"inputs": described(inputs), "outputs": described({"scores": answers})}
    (folder / "schema.json").write_text(json.dumps(schema))
    write(name, folder, schema)
    return folder


def swapped(model: keras.Model) -> None:
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel[:, [1, 0, 2]], bias[[1, 0, 2]]])


def unscaled(model: keras.Model) -> None:
    scale = next(each for each in model.layers if isinstance(each, layers.Normalization))
    scale.mean = scale.mean * 0.99


def stale(model: keras.Model) -> None:
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 1.001, bias])


CHANGES = (swapped, unscaled, stale)
"""What makes a model answer otherwise."""
