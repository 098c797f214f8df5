"""A log is read as those write it that people log with."""

import json
from pathlib import Path

import pytest

from pipeline.training.command import logs
from pipeline.training.command.logs.contract import Value


def columns(values: list[Value], name: str) -> list[tuple[float | None, float]]:
    return [(value.epoch, round(value.number, 6)) for value in values if value.column == name]


@pytest.mark.parametrize("name", logs.names())
def test_a_kind_finds_nothing_in_an_empty_folder_and_has_a_place_of_its_own(name, tmp_path):
    assert logs.kind(name).files(tmp_path) == []
    orders = [logs.kind(each).ORDER for each in logs.names()]
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_of_epochs_is_read_whatever_parts_its_cells(tmp_path: Path, separator: str):
    text = "Epoch,loss,note\n1,2.5,first\n2,,second\n3,1.5,\n".replace(",", separator)
    (tmp_path / "log.csv").write_text(text)
    title, values = logs.read([tmp_path])
    assert title == "CSV log"
    assert columns(values, "loss") == [(1, 2.5), (3, 1.5)]
    assert columns(values, "note") == []


def test_a_csv_without_epochs_is_one_only_where_it_is_named(tmp_path: Path):
    (tmp_path / "log.csv").write_text("loss,val_loss\n2.5,2\n1.5,1\n")
    assert logs.read([tmp_path]) == ("", [])
    values = logs.read([tmp_path / "log.csv"])[1]
    assert [value.step for value in values] == [1, 1, 2, 2]


def test_lightning_writes_rows_of_its_own_for_training_and_validation(tmp_path: Path):
    """As CSVLogger has them: with on_step and on_epoch, each row fills the cells it knows."""
    head = "epoch,step,train_loss_epoch,train_loss_step,val_loss\n"
    (tmp_path / "metrics.csv").write_text(
        f"{head}0,49,,2.0,\n0,59,,,1.5\n0,59,1.75,,\n1,119,,,1.0\n"
    )
    values = logs.read([tmp_path])[1]
    assert columns(values, "val_loss") == [(0, 1.5), (1, 1.0)]
    assert columns(values, "train_loss_epoch") == [(0, 1.75)]


def test_of_the_states_of_a_trainer_the_last_has_all(tmp_path: Path):
    """Each checkpoint of Hugging Face's Trainer has what was logged up to it."""
    history = [
        {"eval_loss": 9.0, "epoch": 0, "step": 0},
        {"loss": 2.0, "grad_norm": 1.0, "epoch": 1.0, "step": 34},
        {"eval_loss": 1.5, "eval_runtime": 0.1, "epoch": 1.0, "step": 34},
        {"loss": 1.0, "epoch": 2.0, "step": 68},
        {"train_runtime": 3.0, "train_loss": 1.5, "epoch": 2.0, "step": 68},
    ]
    for folder, count in [("checkpoint-34", 3), ("checkpoint-68", 5)]:
        (tmp_path / folder).mkdir()
        text = json.dumps({"log_history": history[:count]})
        (tmp_path / folder / "trainer_state.json").write_text(text)
    (tmp_path / "log.csv").write_text("epoch,loss\n1,7\n")
    title, values = logs.read([tmp_path])
    assert title == "trainer_state.json"
    assert columns(values, "loss") == [(1, 2.0), (2, 1.0)]
    assert columns(values, "eval_loss") == [(1, 1.5)]
    assert columns(values, "train_loss") == []


def test_the_newest_run_of_a_database_of_mlflow_is_read(tmp_path: Path):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("one", artifact_location=str(tmp_path / "files"))
    for start, losses in [(1000, [9.0]), (2000, [2.0, 1.0])]:
        run = client.create_run(experiment, start_time=start).info.run_id
        for epoch, loss in enumerate(losses):
            client.log_metric(run, "val_loss", loss, step=epoch, timestamp=epoch)
        client.log_metric(run, "bad", float("nan"), step=0)
    title, values = logs.read([tmp_path])
    assert title == "MLflow run"
    assert [(v.column, v.step, v.number) for v in values] == [
        ("val_loss", 0, 2),
        ("val_loss", 1, 1),
    ]


def test_a_run_of_mlflow_s_folders_is_read(tmp_path: Path):
    run = tmp_path / "mlruns/0/abc"
    (run / "metrics/eval").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: abc\n")
    (run.parent / "meta.yaml").write_text("experiment_id: 0\n")
    (run / "metrics/eval/loss").write_text("1700000000000 2.0 1\n1700000000001 1.0 2\n")
    title, values = logs.read([tmp_path])
    assert title == "MLflow run"
    assert [(v.column, v.step, v.number) for v in values] == [
        ("eval/loss", 1, 2),
        ("eval/loss", 2, 1),
    ]


def test_events_of_tensorflow_and_of_others_are_read_without_a_reader_of_theirs(tmp_path: Path):
    """TensorFlow writes scalars as tensors, others, PyTorch among them, as plain numbers.
    (tf.summary.scalar is tf.summary.write, and asks for TensorBoard.)"""
    import tensorflow as tf

    for split, factor in [("train", 1), ("validation", 2)]:
        with tf.summary.create_file_writer(str(tmp_path / split)).as_default():
            for epoch in range(2):
                tf.summary.write("epoch_loss", tf.constant(factor / (epoch + 1)), step=epoch)
                tf.summary.write("note", tf.constant(["x"]), step=epoch)
                tf.summary.write("picture", tf.zeros((8, 8)), step=epoch)
    with tf.Graph().as_default(), tf.compat.v1.summary.FileWriter(str(tmp_path / "own")) as writer:
        value = tf.compat.v1.Summary.Value(tag="Loss/train", simple_value=0.5)
        writer.add_summary(tf.compat.v1.Summary(value=[value]), 3)
    title, values = logs.read([tmp_path])
    assert title == "TensorBoard log"
    found = {(value.column, value.step): value.number for value in values}
    assert found == {
        ("train/epoch_loss", 0): 1.0,
        ("train/epoch_loss", 1): 0.5,
        ("validation/epoch_loss", 0): 2.0,
        ("validation/epoch_loss", 1): 1.0,
        ("Loss/train", 3): 0.5,
    }


def test_a_last_event_that_was_not_written_whole_is_passed_over(tmp_path: Path):
    import tensorflow as tf

    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        for epoch in range(2):
            tf.summary.write("loss", tf.constant(1.0), step=epoch)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    assert [value.step for value in logs.read([tmp_path])[1]] == [0]
