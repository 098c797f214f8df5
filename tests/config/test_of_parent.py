"""A complete model's own data, training and choice of the epoch are the defaults where it is
trained on; what is named wins, and the merges after it leave all of it as it is."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.merge import lock_of, merge
from pipeline.config.of_parent import composed, sections
from pipeline.errors import ParamsError
from testing.project import ROOT

CONF = ROOT / "conf"
FOREIGN = {
    "name": "journeys",
    "file": "journeys.npz",
    "inputs": {"readings": {"source": "readings", "shape": ["length", 2], "dtype": "float32"}},
    "targets": {"kind": {"source": "kind", "classes": 3}},
    "dimensions": {"length": {"least": 1, "most": 9}},
    "id": None,
    "split": {"val": 0.3, "test": 0.1, "seed": 5},
}
"""No option of conf/ has this name, nor has the default model a target `label` to count."""


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    """The sections of a model that was made by experiment=regression, with changes."""
    changes = ["experiment=regression", "train.batch_size=7", "checkpoint.many=17"]
    values = interpolated(compose_conf(CONF, changes))
    return {name: values[name] for name in ("data", "model", "train", "checkpoint")}


def test_nothing_need_be_named(recorded) -> None:
    params, own_data = composed(CONF, [], recorded)
    assert own_data
    assert {name: params[name] for name in recorded} == recorded
    assert params["verify"] == interpolated(compose_conf(CONF, []))["verify"]


@pytest.mark.parametrize("named", ["data=digits", "data=throws", "experiment=diabetes"])
def test_data_that_are_named_win_if_they_are_the_default_too(recorded, named) -> None:
    params, own_data = composed(CONF, [named], recorded)
    assert not own_data
    assert params["data"] == compose_conf(CONF, [named])["data"]


def test_an_experiment_may_choose_the_default_data(recorded, tmp_path: Path) -> None:
    conf = Path(shutil.copytree(CONF, tmp_path / "conf"))
    text = "# @package _global_\ndefaults:\n  - override /data: digits\n"
    (conf / "experiment/own.yaml").write_text(text)
    params, own_data = composed(conf, ["experiment=own"], recorded)
    assert not own_data and params["data"]["name"] == "digits"


def test_keys_that_are_set_win_over_the_recorded_ones(recorded) -> None:
    overrides = ["experiment=smoke", "train.lr=0.5", "checkpoint.steps=8", "data.split.seed=3"]
    params, own_data = composed(CONF, overrides, recorded)
    assert own_data and params["data"]["file"] == recorded["data"]["file"]
    assert params["data"]["split"]["seed"] == 3
    # The experiment sets epochs, batch_size and many; metric and metrics are the model's.
    assert (params["train"]["batch_size"], params["checkpoint"]["many"]) == (128, 16)
    assert (params["train"]["lr"], params["checkpoint"]["steps"]) == (0.5, 8)
    assert params["train"]["metrics"] == recorded["train"]["metrics"]
    assert params["checkpoint"]["metric"] == "val/loss"


def test_a_key_that_only_its_own_data_have_can_be_set(recorded) -> None:
    override = "data.dimensions.length.most=12"
    params, own_data = composed(CONF, [override], recorded | {"data": FOREIGN})
    assert own_data and params["data"]["name"] == "journeys"
    assert params["data"]["dimensions"] == {"length": {"least": 1, "most": 12}}
    assert params["data"]["split"]["group"] is None  # what an older version did not write


def test_targets_of_before_they_had_names_are_taken(recorded) -> None:
    old = {k: v for k, v in FOREIGN.items() if k not in ("targets", "dimensions")}
    old["target"] = {"source": "kind", "classes": 3}
    params, _ = composed(CONF, [], recorded | {"data": old})
    assert params["data"]["targets"] == {"target": {"source": "kind", "classes": 3}}


def test_without_a_record_the_data_are_those_of_conf(recorded) -> None:
    known = {name: recorded[name] for name in ("model", "train")}
    params, own_data = composed(CONF, [], known)
    assert not own_data and params["data"]["name"] == "digits"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.splti=3", "data.splti: no such key; did you mean split"),
        ("data.name=other", "data.name: found 'other', expected 'digits'"),
        ("data=rides_of_yesterday", "data=rides_of_yesterday: no such option"),
    ],
)
def test_what_cannot_be_set_is_told_as_ever(recorded, override, said) -> None:
    with pytest.raises(ParamsError) as refusal:
        composed(CONF, [override], recorded)
    assert said in str(refusal.value) and "/tmp" not in str(refusal.value)


def test_an_interpolation_in_a_recorded_section_reads_no_environment(recorded) -> None:
    hostile = FOREIGN | {"file": "${oc.env:HOME}"}
    with pytest.raises(ParamsError, match="same everywhere"):
        composed(CONF, [], recorded | {"data": hostile})


@pytest.mark.parametrize("option", [True, False], ids=["an option of conf", "no option"])
def test_later_merges_leave_the_parents_sections_alone_and_what_the_user_sets(
    recorded, option: bool
) -> None:
    data = recorded["data"] if option else FOREIGN
    params, _ = composed(CONF, [], recorded | {"data": data})
    params["train"]["parent"] = "0" * 64
    parent = sections(CONF, params)
    assert set(parent) == ({"model"} if option else {"model", "data"})
    lock = lock_of(CONF, ["data=throws"] if option else [], parent)
    for _ in range(2):
        merged, lock = merge(CONF, params, lock)
        assert merged == params
    params["data"]["split"]["seed"] = 11
    params["train"]["lr"] = 0.25
    for _ in range(2):
        merged, lock = merge(CONF, params, lock)
        assert merged == params


def test_a_model_that_is_no_parents_any_more_stays_for_it_is_the_users_own(recorded) -> None:
    params, _ = composed(CONF, [], recorded)
    params["train"]["parent"] = "0" * 64
    _, lock = merge(CONF, params, lock_of(CONF, ["data=throws"], sections(CONF, params)))
    params["train"]["parent"] = None
    merged, _ = merge(CONF, params, lock)
    assert merged["model"] == params["model"]
