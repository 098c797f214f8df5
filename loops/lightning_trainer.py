"""Lightning's Trainer, for `python -m pipeline experiment=lightning_trainer`."""

import argparse
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from models.torch_mlp import TorchMLP


class Classifier(lightning.LightningModule):
    def __init__(self, lr: float, units: int = 64):
        super().__init__()
        self.save_hyperparameters()
        self.net = TorchMLP(inputs=64, units=units, classes=10)

    def training_step(self, batch, index):
        pixels, labels = batch
        loss = torch.nn.functional.cross_entropy(self.net(pixels), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        pixels, labels = batch
        answers = self.net(pixels)
        self.log("val_loss", torch.nn.functional.cross_entropy(answers, labels))
        self.log("val_accuracy", (answers.argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


class InOrder(torch.utils.data.Sampler):
    """The order is a function of seed and epoch, so that whoever goes on has the same."""

    def __init__(self, rows: int, seed: int):
        self.rows, self.seed, self.epoch = rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self):
        return self.rows

    def __iter__(self):
        return iter(np.random.default_rng([self.seed, self.epoch]).permutation(self.rows).tolist())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", default="")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    seed = lightning.seed_everything()  # PL_GLOBAL_SEED, which the pipeline sets

    def read(split):
        folder = options.data / split
        pixels = np.load(folder / "inputs/pixels.npy")
        labels = np.load(folder / "targets/label.npy")
        return TensorDataset(torch.from_numpy(pixels), torch.from_numpy(labels))

    rows = read("train")
    module = Classifier(options.lr)
    module.net.adapt(rows.tensors[0].numpy())
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        accelerator="cpu",
        deterministic=True,
        logger=CSVLogger(options.out, name=""),
        callbacks=[ModelCheckpoint(options.out, filename="{epoch}", save_top_k=-1)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        module,
        DataLoader(rows, options.batch_size, sampler=InOrder(len(rows), seed)),
        DataLoader(read("val"), batch_size=512),
        ckpt_path=options.resume or None,
    )


if __name__ == "__main__":
    main()
