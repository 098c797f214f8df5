"""A checkpoint that holds several sets of weights gives the one that is named, and says which there
are."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import pytorch as lightning
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel

from pipeline import foreign
from pipeline.errors import ParamsError
from pipeline.foreign import sets

AVERAGE = "model.weights_of: {} takes it instead"


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))


def raw() -> dict[str, Any]:
    torch.manual_seed(0)
    return net().state_dict()


def averaged() -> nn.Module:
    torch.manual_seed(1)
    return net()


def parameters() -> dict[str, Any]:
    return {name: each.detach() for name, each in averaged().named_parameters()}


def around(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": each for name, each in state.items()}


def opened(path: Path, content: Any) -> foreign.Foreign:
    torch.save(content, path / "ckpt.pt")
    return foreign.read(path / "ckpt.pt")


WAYS = {
    "a state_dict": lambda: averaged().state_dict(),
    "behind a prefix": lambda: around("module", averaged().state_dict()),
    "torch's AveragedModel": lambda: AveragedModel(averaged()).state_dict(),
    "in a dict of its own": lambda: {"decay": 0.9, "state_dict": averaged().state_dict()},
    "parameters alone": lambda: {"decay": 0.9, "shadow": parameters()},
    "parameters without names": lambda: {
        "decay": 0.9,
        "shadow_params": [*parameters().values()],
        "collected_params": None,
    },
    "with what it is of": lambda: {
        **around("online_model", raw()),
        **around("ema_model", averaged().state_dict()),
        "initted": torch.tensor(True),
    },
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", ["ema", "state_dict_ema"])
def test_an_average_beside_the_weights_can_be_taken(tmp_path: Path, way: str, key: str) -> None:
    found = opened(tmp_path, {"model": raw(), key: WAYS[way]()})
    assert any(AVERAGE.format(key) in note for note in found.notes)
    kept = found.weights
    taken, expected = sets.chosen(found, key), averaged().state_dict()
    assert taken.keys() == expected.keys()
    for name, each in parameters().items():
        assert torch.equal(taken[name], each) and torch.equal(kept[name], raw()[name])
    assert torch.equal(taken["1.running_var"], expected["1.running_var"])


def test_what_has_no_names_and_other_shapes_is_said_and_not_taken(tmp_path: Path) -> None:
    found = opened(tmp_path, {"model": raw(), "ema": [*parameters().values()][:3]})
    assert not found.others
    assert any("'ema' has no names" in note for note in found.notes)


def test_the_optimizer_is_of_the_weights_and_not_of_their_average(tmp_path: Path) -> None:
    state = torch.optim.Adam(net().parameters()).state_dict()
    found = opened(tmp_path, {"model": raw(), "ema": parameters(), "optimizer": state})
    assert sets.start_with(found, None) == "optimizer"
    assert not sets.has_optimizer(found, "ema")


def test_of_two_nets_in_one_state_dict_one_is_taken_by_its_prefix(tmp_path: Path) -> None:
    both = around("net", raw()) | around("net_ema", averaged().state_dict())
    found = opened(tmp_path, {"state_dict": both})
    assert torch.equal(sets.chosen(found, "net_ema")["2.bias"], parameters()["2.bias"])
    words = re.escape("found teacher, expected one of those in the checkpoint: net, net_ema")
    with pytest.raises(ParamsError, match=words):
        sets.chosen(found, "teacher")


class Module(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 2)

    def training_step(self, batch: Any, _: int) -> Any:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


def test_in_lightning_an_average_takes_the_place_of_what_the_optimizer_is_of(
    tmp_path: Path,
) -> None:
    saving = lightning.callbacks.ModelCheckpoint(tmp_path, filename="last")
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[EMAWeightAveraging(decay=0.5), saving],
        **options,
    )
    rows = torch.utils.data.TensorDataset(torch.randn(8, 4), torch.arange(8) % 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(Module(), torch.utils.data.DataLoader(rows, batch_size=4))
    found = foreign.read(tmp_path / "last.ckpt")
    trained = torch.load(tmp_path / "last.ckpt", weights_only=False)["current_model_state"]
    assert sets.start_with(found, None) == "weights"
    assert sets.start_with(found, "current_model_state") == "optimizer"
    assert torch.equal(
        sets.chosen(found, "current_model_state")["net.weight"], trained["net.weight"]
    )
    assert not torch.equal(found.weights["net.weight"], trained["net.weight"])
    assert any("the average of a callback" in note for note in found.notes)


def test_in_lightning_an_average_that_a_callback_keeps_can_be_taken(tmp_path: Path) -> None:
    content = {"pytorch-lightning_version": "2.5", "state_dict": around("net", raw()), "epoch": 1}
    kept = {"EMA{}": {"decay": 0.9, "ema_weights": around("net", averaged().state_dict())}}
    found = opened(tmp_path, content | {"callbacks": kept})
    assert torch.equal(sets.chosen(found, "ema_weights")["net.2.bias"], parameters()["2.bias"])
