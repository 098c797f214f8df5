"""A wrong name, type or range names the key, what was found and what is allowed."""

import dataclasses
import datetime

import pytest

from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.params import Params, PrepareParams, TrainParams
from pipeline.config.reading import read
from pipeline.errors import ParamsError
from testing.prepared import NO_SPLIT
from testing.project import ROOT

CONF = ROOT / "conf"


@pytest.fixture
def values() -> dict:
    return interpolated(compose_conf(CONF, []))


def test_the_configuration_reads_into_frozen_dataclasses(values):
    params = read(Params, values)
    assert params.train.epochs == 20
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.train.epochs = 3


def test_no_parameter_has_a_default():
    def fields(kind):
        for field in dataclasses.fields(kind):
            yield field
            if dataclasses.is_dataclass(field.type):
                yield from fields(field.type)

    assert all(field.default is dataclasses.MISSING for field in fields(Params))


def test_a_stage_reads_its_own_sections_alone(values):
    del values["train"]
    assert read(PrepareParams, values).data.targets["label"].classes == 10
    with pytest.raises(ParamsError, match="^train: missing"):
        read(TrainParams, values)


def test_a_target_from_before_targets_had_names_is_called_target(values):
    values["data"]["target"] = values["data"].pop("targets")["label"]
    assert read(PrepareParams, values).data.targets["target"].classes == 10


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        (
            "train",
            "epohcs",
            3,
            r"train.epohcs: no such key; did you mean epochs\? allowed: epochs, ",
        ),
        ("train", "epochs", "3", "train.epochs: found '3', expected an integer"),
        ("train", "epochs", 3.0, "train.epochs: found 3.0, expected an integer"),
        ("train", "epochs", True, "train.epochs: found True, expected an integer"),
        ("train", "epochs", 0, "train.epochs: found 0, expected at least 1 without train.start"),
        ("train", "lr", float("nan"), "train.lr: found nan, expected a finite number"),
        ("train", "lr", 0, "train.lr: found 0.0, expected above 0"),
        ("train", "device", "gpu", "train.device: found 'gpu', expected one of cpu, cuda, auto"),
        ("train", "clip_norm", -1, "train.clip_norm: found -1.0, expected above 0"),
        (
            "model",
            "framework",
            "jax",
            "model.framework: found 'jax', expected one of keras, pytorch",
        ),
        ("model", "net", {}, "model.net: found {}, expected a mapping whose _target_ is"),
        ("model", "net", {"_target_": "Net"}, "expected a mapping whose _target_ is"),
        ("model", "name", "", "model.name: found '', expected a text that is not empty"),
        ("export", "formats", "onnx", "export.formats: found 'onnx', expected a list"),
        (
            "export",
            "formats",
            ["onxx"],
            r"export.formats\[0\]: found 'onxx', expected one of .*onnx",
        ),
        ("data", "targets", 3, "data.targets: found 3, expected a mapping"),
        ("data", "target", {}, r"data.target: no such key; did you mean targets\?"),
        (
            "data",
            "split",
            NO_SPLIT | {"val": 0.5, "test": 0.5},
            "data.split: val \\+ test leave no",
        ),
        (
            "verify",
            "tolerance",
            {"onyx": {"atol": 0.0, "rtol": 0.0}},
            "verify.tolerance: found 'onyx', expected one of keras_archive, ",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(values, section, key, value, said):
    values[section][key] = value
    with pytest.raises(ParamsError, match=said) as refusal:
        read(Params, values)
    assert "\n" not in str(refusal.value)


def test_a_missing_key_is_named(values):
    del values["train"]["lr"]
    with pytest.raises(ParamsError, match="^train.lr: missing"):
        read(Params, values)


SCORE = {"_target_": "sklearn.metrics.f1_score"}


@pytest.mark.parametrize("name", ["acc@1", "f1.macro", "a,b", "f1=", "", "/f1", "f1/", "a//b"])
def test_a_metric_that_mlflow_would_refuse_is_refused_before_training(values, name):
    values["train"]["metrics"][name] = SCORE
    with pytest.raises(ParamsError, match=r"^train\.metrics: found the name .*, expected lett"):
        read(Params, values)


@pytest.mark.parametrize("name", ["loss", "Loss", "epoch"])
def test_a_metric_that_would_replace_the_pipelines_own_is_refused(values, name):
    values["train"]["metrics"][name] = SCORE
    with pytest.raises(ParamsError, match=f"found the name '{name}', under which the pipeline its"):
        read(Params, values)


@pytest.mark.parametrize("name", ["f1", "f1 macro", "top-5", "größe", "f1/macro", "f1:macro", "5"])
def test_names_that_mlflow_takes_are_taken(values, name):
    from mlflow.utils.validation import _validate_metric_name

    values["train"]["metrics"][name] = SCORE
    read(Params, values)
    _validate_metric_name(f"val/{name}")


@pytest.mark.parametrize("key", ["checkpoint", "early_stopping"])
def test_a_metric_that_is_not_computed_chooses_no_epoch(values, key):
    if key == "checkpoint":
        values["checkpoint"]["metric"] = "val/f1"
    else:
        stopping = {"metric": "val/f1", "mode": "max", "patience": 3}
        values["train"]["early_stopping"] = stopping
    allowed = "expected one of train/loss, val/loss, val/accuracy$"
    with pytest.raises(ParamsError, match=rf"{key}\.metric: found 'val/f1', {allowed}"):
        read(Params, values)


@pytest.mark.parametrize("value", [False, 12, datetime.date(2026, 1, 31)])
def test_what_yaml_reads_as_no_text_is_to_be_quoted(values, value):
    values["data"]["file"] = value
    with pytest.raises(ParamsError, match=r"^data\.file: found .*, expected a text .*; quote it"):
        read(Params, values)
