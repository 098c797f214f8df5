"""A script of somebody who has never heard of this project: it trains a classifier of digits for a
few steps, saves it in each of the ways that people save one, and goes on for three more.

It runs as `python -I pytorch_script.py FOLDER`, so that nothing of the repository can be imported.
"""

import sys
import warnings
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
import torch.distributed.checkpoint as dcp
import transformers
from huggingface_hub import save_torch_state_dict
from safetensors.torch import save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.utils.data import DataLoader, TensorDataset

STEPS, MORE, ROWS = 5, 3, 8


class Standardize(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.register_buffer("mean", torch.full((inputs,), 8.0))
        self.register_buffer("std", torch.full((inputs,), 4.5))

    def forward(self, values):
        return (values - self.mean) / self.std


class Digits(nn.Module):
    def __init__(self, inputs=64, units=64, classes=10):
        super().__init__()
        self.standardize = Standardize(inputs)
        self.layers = nn.Sequential(nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, classes))

    def forward(self, pixels):
        return self.layers(self.standardize(pixels))


class Module(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.save_hyperparameters()
        torch.manual_seed(5)
        self.net = Digits()

    def training_step(self, batch, _):
        pixels, labels = batch
        return nn.functional.cross_entropy(self.net(pixels), labels)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def batches(begin, end):
    for seed in range(begin, end):
        random = np.random.default_rng(seed)
        pixels = random.uniform(0, 16, (ROWS, 64)).astype(np.float32)
        yield torch.from_numpy(pixels), torch.from_numpy(random.integers(0, 10, ROWS))


def train(net, optimizer, begin, end):
    """Returns the losses; the net is trained from its state."""
    losses = []
    for pixels, labels in batches(begin, end):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(pixels), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def save_weights(folder, net):
    state = net.state_dict()
    torch.save(state, folder / "bare.pth")
    save_file(state, folder / "one.safetensors", {"format": "pt"})
    (folder / "sharded").mkdir()
    save_torch_state_dict(state, folder / "sharded", max_shard_size="10KB")
    torch.save(net, folder / "whole.pt")


def save_training(folder, net, optimizer):
    wrapped = nn.DataParallel(net).state_dict()
    torch.save(
        {"model_state_dict": wrapped, "optimizer_state_dict": optimizer.state_dict(), "epoch": 7},
        folder / "training.pth",
    )
    model, state = get_state_dict(net, optimizer)
    dcp.save({"model": model, "optimizer": state}, checkpoint_id=folder / "distributed")


def save_programs(folder, net):
    net.eval()
    pixels, _ = next(batches(0, 1))
    with torch.inference_mode():
        np.savez(folder / "answers.npz", pixels=pixels, logits=net(pixels))
    example, rows = torch.zeros(3, 64), torch.export.Dim("rows")
    program = torch.export.export(net, (example,), dynamic_shapes=({0: rows},))
    torch.export.save(program, folder / "program.pt2")
    (folder / "onnx").mkdir()
    torch.onnx.export(
        net,
        (example,),
        folder / "onnx" / "program.onnx",
        dynamic_shapes=({0: rows},),
        verbose=False,
    )


def by_lightning(folder):
    """The trainer's own loop over the same batches: its checkpoint, and three steps on from it."""
    (folder / "lightning").mkdir()
    pixels, labels = map(torch.cat, zip(*batches(0, STEPS + MORE), strict=True))
    module = Module(lr=0.004)

    def fit(begin, end, **options):
        rows = slice(begin * ROWS, end * ROWS)
        loader = DataLoader(TensorDataset(pixels[rows], labels[rows]), batch_size=ROWS)
        trainer = pl.Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            **options,
        )
        trainer.fit(module, loader)
        return trainer

    trainer = fit(0, STEPS, max_epochs=1)
    trainer.save_checkpoint(folder / "lightning" / "last.ckpt")
    optimizer = trainer.optimizers[0]
    train(module.net, optimizer, STEPS, STEPS + MORE)
    return module.net


def save_hugging_face(folder):
    config = transformers.BertConfig(
        num_hidden_layers=1,
        num_attention_heads=2,
        hidden_size=8,
        intermediate_size=16,
        vocab_size=400,
        num_labels=3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(5)
    net = transformers.BertForSequenceClassification(config).eval()
    net.save_pretrained(folder / "hugging_face")


def main(folder):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(5)
    net = Digits()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.002)
    train(net, optimizer, 0, STEPS)
    save_weights(folder, net)
    save_training(folder, net, optimizer)
    save_programs(folder, net)
    save_hugging_face(folder)
    net.train()
    train(net, optimizer, STEPS, STEPS + MORE)
    for name, trained in {"script": net, "lightning": by_lightning(folder)}.items():
        arrays = {key: value.numpy() for key, value in trained.state_dict().items()}
        np.savez(folder / f"{name}_after.npz", **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
