"""The view of a data set shows what its runs are judged by, and leaves alone what people set up."""

import json

import pytest

from pipeline.tracking.view import LONGEST, METRICS, View, view_of

PARAMS = {"data.name": "bikes", "checkpoint.metric": "val/r2"}


def state(value: str) -> dict:
    return json.loads(json.loads(value)["state"])


def metrics_of(view: dict) -> list[str]:
    columns = [each.removeprefix("metrics.") for each in view["selectedColumns"]]
    return [each.strip("`") for each in columns if not each.startswith("params.")]


def test_its_columns_are_what_the_run_was_judged_by() -> None:
    view = view_of(PARAMS, {"train/loss": 1, "test/loss": 1, "test/mae": 2, "test/r2": 3})
    assert view.judged == ("test/r2", "test/loss", "test/mae")
    shown = state(view.value())
    assert metrics_of(shown)[:4] == ["test/r2", "test/loss", "test/mae", "val/r2"]
    assert shown["columnOrder"][2:] == shown["selectedColumns"]
    assert shown["searchFilter"] == "params.`data.name` = 'bikes'"


def test_its_charts_set_what_was_varied_against_the_metric_of_the_test_split() -> None:
    parallel, rate = state(view_of(PARAMS, {"test/loss": 1, "test/r2": 3}).value())[
        "compareRunCharts"
    ]
    assert parallel["selectedParams"] == ["train.lr", "model.name", "train.batch_size"]
    assert parallel["selectedMetrics"] == ["test/r2"]
    assert (rate["xaxis"]["key"], rate["yaxis"]["key"]) == ("train.lr", "test/r2")


@pytest.mark.parametrize("metric", ["val/loss", "train/loss"])
def test_a_loss_is_a_metric_too(metric: str) -> None:
    assert view_of({"checkpoint.metric": metric}, {"test/r2": 1, "test/loss": 1}).judged == (
        "test/loss",
        "test/r2",
    )


def test_runs_that_are_judged_otherwise_add_their_columns() -> None:
    first = view_of(PARAMS, {"test/r2": 1}).value()
    both = view_of(PARAMS | {"checkpoint.metric": "val/mae"}, {"test/mae": 1}).value(first)
    assert {"test/r2", "val/r2", "test/mae", "val/mae"} <= set(metrics_of(state(both)))
    assert view_of(PARAMS | {"checkpoint.metric": "val/mae"}, {"test/mae": 1}).value(both) == both


@pytest.mark.parametrize(
    "present",
    [
        json.dumps({"name": "x", "updatedAt": 17, "state": json.dumps({"selectedColumns": []})}),
        json.dumps({"name": "x", "createdAt": 0, "updatedAt": 0, "state": "deflate;eJyrVg=="}),
        "no JSON",
        "[]",
    ],
)
def test_what_somebody_has_set_up_stays(present: str) -> None:
    assert view_of(PARAMS, {"test/r2": 1}).value(present) == present


def test_it_fits_into_a_tag_whatever_was_judged() -> None:
    metrics = {f"test/{n:0240}": 1.0 for n in range(999)}
    view = view_of(PARAMS, metrics)
    assert len(view.judged) == METRICS
    value = view.value()
    for n in range(9):
        value = view_of(PARAMS, {f"test/{n}{m:0230}": 1.0 for m in range(99)}).value(value)
        assert len(value) <= LONGEST


def test_a_name_of_any_characters_has_an_address() -> None:
    view = View(data="größe 'a' & b", chosen_by="val/loss", judged=())
    assert view.tag == "mlflow.sharedViewState.compare größe _a_ _ b"
    address = view.address("http://host", "7")
    assert address.endswith("viewStateShareKey=compare%20gr%C3%B6%C3%9Fe%20_a_%20_%20b")
    assert state(view.value())["searchFilter"] == "params.`data.name` = \"größe 'a' & b\""
