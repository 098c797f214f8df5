"""What makes more of few pictures acts in a step alone, and travels in the program that trains."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim

from models.torch_augment import RandomMirror, RandomShift
from models.torch_pictures import TorchUNet
from pipeline.formats.torch_export import export, load, train
from pipeline.frameworks import pytorch
from pipeline.frameworks.contract import Parts
from testing.parts import parts

DRAWN = np.random.default_rng(0)
INPUTS = {"picture": DRAWN.integers(0, 255, (12, 16, 16)).astype(np.uint8)}
TARGETS = {"mask": DRAWN.integers(0, 4, (12, 16, 16))}
DESCRIBED = {"picture": {"dtype": "uint8", "shape": [16, 16]}}
OF_MASK = {"mask": {"dtype": "int64", "shape": [16, 16], "classes": 4, "labels": None}}
ROWS = np.arange(12)


def unet(augment: type[nn.Module] | None = RandomMirror) -> Parts:
    made = parts(
        lambda: TorchUNet(4, 4),
        nn.CrossEntropyLoss,
        optim.Adam,
        None,
        DESCRIBED,
        outputs=("logits",),
        targets=OF_MASK,
    )
    return replace(made, augment=augment)


def built(augment: type[nn.Module] | None = RandomMirror) -> pytorch.Training:
    pytorch.configure(1)
    pytorch.seed(0)
    return pytorch.build(unet(augment))


def loss_of_a_step(training: pytorch.Training, seed: int) -> float:
    pytorch.seed(seed)
    return float(pytorch.step(training, INPUTS, TARGETS, ROWS))


def test_a_step_sees_other_pictures_and_an_answer_does_not() -> None:
    losses = {loss_of_a_step(built(), seed) for seed in (1, 2)}
    assert len(losses) == 2 and len({loss_of_a_step(built(None), seed) for seed in (1, 2)}) == 1
    plain, mirrored = (
        pytorch.evaluate(built(each), INPUTS, TARGETS) for each in (None, RandomMirror)
    )
    assert plain[1] == mirrored[1]
    np.testing.assert_array_equal(plain[0]["logits"], mirrored[0]["logits"])


def test_picture_and_mask_are_mirrored_alike() -> None:
    torch.manual_seed(0)
    picture = torch.arange(3 * 2 * 4).reshape(3, 2, 4)
    one, other = RandomMirror()(picture, picture + 100)
    assert torch.equal(one + 100, other) and not torch.equal(one, picture)


def test_a_shift_moves_each_row_of_a_picture_alike() -> None:
    torch.manual_seed(0)
    picture = torch.arange(5 * 2 * 4).reshape(5, 2, 4)
    moved = RandomShift(1)(picture)
    for before, after in zip(picture, moved, strict=True):
        assert any(torch.equal(after, before.roll(by, 1)) for by in (-1, 0, 1))


def test_the_program_that_trains_augments_as_the_source_does(tmp_path: Path) -> None:
    training = built()
    predictor = pytorch.predictor(training, INPUTS)
    export.export(predictor, INPUTS, ["logits"], tmp_path, training, TARGETS, seed=7)
    pytorch.seed(7)
    source = [float(pytorch.step(training, INPUTS, TARGETS, ROWS[:n])) for n in (12, 5, 9)]
    trainer = train.load_training(tmp_path)
    steps = [
        float(trainer.step({"picture": INPUTS["picture"][:n]}, {"mask": TARGETS["mask"][:n]}))
        for n in (12, 5, 9)
    ]
    assert steps == source
    before = load.load(tmp_path)(INPUTS)["logits"]
    np.testing.assert_array_equal(before, load.load(tmp_path)(INPUTS)["logits"])
    answers, _ = pytorch.evaluate(training, INPUTS, None)
    np.testing.assert_array_equal(trainer.predict(INPUTS)["logits"], answers["logits"])


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, picture: Tensor) -> Tensor:
        return picture


class Elsewhere(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        (Counting, "model.augment: Counting holds count, expected no weights and no buffers"),
        (Elsewhere, "model.augment: its forward takes 'image', expected .*: picture, mask"),
    ],
)
def test_what_cannot_augment_is_refused(augment: type[nn.Module], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        built(augment)
