"""What loops call a value becomes train/<name> or val/<name>."""

import pytest

from pipeline.training.command.columns import named, renamed


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("loss", "train/loss"),
        ("val_loss", "val/loss"),
        ("accuracy", "train/accuracy"),
        ("train_loss_epoch", "train/loss"),
        ("train_loss_step", "train/loss"),
        ("Loss/train", "train/loss"),
        ("Loss/validation", "val/loss"),
        ("eval_accuracy", "val/accuracy"),
        ("eval/f1_macro", "val/f1_macro"),
        ("train/epoch_loss", "train/loss"),
        ("validation/epoch_sparse_categorical_accuracy", "val/sparse_categorical_accuracy"),
        ("valid_loss", "val/loss"),
        ("learning_rate", "train/learning_rate"),
        ("lr-Adam", "train/lr_Adam"),
        ("top@5", "train/top_5"),
        ("test_loss", None),
        ("eval_runtime", None),
        ("train_samples_per_second", None),
        ("epoch_time", None),
        ("total_flos", None),
        ("step", None),
        ("train", "train/train"),
    ],
)
def test_the_words_of_a_name_say_its_split(theirs: str, ours: str | None):
    name = named(theirs)
    assert (name and name.lower()) == (ours and ours.lower())


def test_what_is_said_goes_first_and_the_mean_of_an_epoch_before_a_step():
    columns = ["train_loss_step", "train_loss_epoch", "score", "noise", "val_loss"]
    said = {"score": "val/score", "noise": None}
    assert renamed(columns, said) == {
        "train_loss_epoch": "train/loss",
        "score": "val/score",
        "val_loss": "val/loss",
    }
