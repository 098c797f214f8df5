"""From a file that a script saved to more steps: the file is opened, matched, and trained on."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn, optim
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel

from pipeline import foreign
from pipeline.errors import ModelError
from pipeline.foreign.lazy_mapping import LazyMapping
from pipeline.foreign.matching import match
from pipeline.frameworks import pytorch as framework
from testing.parts import answers, parts

RANDOM = np.random.default_rng(0)
ROWS = {"tokens": RANDOM.integers(0, 11, (24, 5))}
LABELS = {"label": RANDOM.integers(0, 11, 24)}
BATCHES = [np.arange(0, 9), np.arange(9, 17), np.arange(17, 24)]
INPUTS = {"tokens": {"dtype": "int64", "shape": [5]}}


class Language(nn.Module):
    """As small language models are: the head's weight is that of the embedding."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, width)
        self.block = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.Dropout(0.2))
        self.head = nn.Linear(width, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.block(self.embed(tokens)).mean(1))


def schedule(optimizer: Any) -> Any:
    return lr_scheduler.CosineAnnealingLR(optimizer, 9)


class Script:
    """Trains with weight decay on matrices alone, as nanoGPT and others do."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.net = Language()
        weights = list(self.net.parameters())
        groups = [
            {"params": [w for w in weights if w.ndim > 1], "weight_decay": 0.1},
            {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = optim.AdamW(groups, lr=0.02, betas=(0.9, 0.95))
        self.scheduler = schedule(self.optimizer)

    def epoch(self) -> list[float]:
        losses = []
        self.net.train()
        for seed, rows in enumerate(BATCHES):
            torch.manual_seed(seed)
            logits = self.net(torch.from_numpy(ROWS["tokens"][rows]))
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(LABELS["label"][rows]))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        self.scheduler.step()
        return losses


def built(net: Any = Language) -> framework.Training:
    framework.configure(1)
    framework.seed(9)
    optimizer = partial(optim.AdamW, lr=0.02)
    chosen = parts(net, nn.CrossEntropyLoss, optimizer, schedule, INPUTS, outputs=["logits"])
    return framework.build(chosen)


def started(path: Path, net: Any = Language, whole: bool = True, **how) -> tuple[Any, list[str]]:
    """A training from the file, and all that is said of it."""
    found, training = foreign.read(path), built(net)
    specs = framework.weight_specs(training, found.naming)
    matched = match(specs, found.weights, **how)
    weights = LazyMapping(matched.pairs, found.weights.__getitem__)
    states = (found.optimizer, found.scheduler) if whole else (None, None)
    notes = framework.start(training, found.naming, weights, *states)
    return training, [*found.notes, *matched.notes, *notes]


def epoch(training: Any) -> list[float]:
    losses = []
    for seed, rows in enumerate(BATCHES):
        torch.manual_seed(seed)
        losses.append(float(framework.step(training, ROWS, LABELS, rows)))
    framework.end_epoch(training)
    return losses


WRAPPERS = {
    "module": nn.DataParallel,
    "_orig_mod": partial(torch.compile, backend="eager"),
    "n_averaged": AveragedModel,
}
OLDER = {"_use_new_zipfile_serialization": False}


@pytest.mark.parametrize("how", [{}, OLDER], ids=["zip", "older"])
@pytest.mark.parametrize("said", WRAPPERS)
def test_more_steps_equal_those_of_the_script(tmp_path: Path, said: str, how) -> None:
    script = Script()
    script.epoch()
    content = {
        "model": WRAPPERS[said](script.net).state_dict(),
        "optimizer": script.optimizer.state_dict(),
        "scheduler": script.scheduler.state_dict(),
        "iter_num": 3,
    }
    torch.save(content, tmp_path / "ckpt.pt", **how)
    training, notes = started(tmp_path / "ckpt.pt")
    with torch.inference_mode():
        expected = script.net.eval()(torch.from_numpy(ROWS["tokens"])).numpy()
    answered, _ = answers(framework, training, ROWS)
    assert answered["logits"].tobytes() == expected.tobytes()
    assert epoch(training) + epoch(training) == script.epoch() + script.epoch()
    assert any(said in note for note in notes)
    assert any("weight_decay is 0.1 and 0.0 by groups" in note for note in notes)


def test_a_state_by_names_needs_no_order(tmp_path: Path) -> None:
    """As torch.distributed.checkpoint.state_dict has it."""
    script = Script()
    script.epoch()
    weights, state = get_state_dict(script.net, script.optimizer)
    torch.save({"model": weights, "optim": state}, tmp_path / "ckpt.pt")
    training, _ = started(tmp_path / "ckpt.pt")
    for group in training.optimizer.param_groups:  # the schedule of the file is not in it
        group["lr"] = script.optimizer.param_groups[0]["lr"]
    assert epoch(training) == script.epoch()


def test_a_tied_weight_may_be_in_the_file_once(tmp_path: Path) -> None:
    net = Script().net
    state = {name: each for name, each in net.state_dict().items() if name != "head.weight"}
    save_file(state, tmp_path / "tied.safetensors")
    training, notes = started(tmp_path / "tied.safetensors", whole=False)
    assert torch.equal(training.net.head.weight, net.embed.weight)
    assert any("head.weight is the same tensor as embed.weight" in note for note in notes)


def test_another_nets_file_changes_nothing(tmp_path: Path) -> None:
    torch.save(Script().net.state_dict(), tmp_path / "ckpt.pt")
    with pytest.raises(ModelError, match="fits in none of its 6 tensors"):
        started(tmp_path / "ckpt.pt", partial(Language, width=4))


def test_a_new_head_begins_anew_beside_the_weights_of_the_file(tmp_path: Path) -> None:
    class Classifier(Language):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(8, 3)

    torch.save(Script().net.state_dict(), tmp_path / "ckpt.pt")
    training, notes = started(tmp_path / "ckpt.pt", Classifier, whole=False, new_weights=["head"])
    assert torch.equal(training.net.embed.weight, Script().net.embed.weight)
    assert any("keep their initial values" in note for note in notes)
