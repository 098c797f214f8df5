"""Hugging Face's Trainer on a net of one's own, for
`python -m pipeline experiment=hugging_face_trainer`."""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from models.torch_mlp import TorchMLP


class WithLoss(TorchMLP):
    """Returns what the Trainer looks for: a loss where there are labels, and logits."""

    def forward(self, pixels, labels=None):
        logits = super().forward(pixels)
        if labels is None:
            return {"logits": logits}
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class Rows(Dataset):
    def __init__(self, folder: Path):
        self.pixels = np.load(folder / "inputs/pixels.npy")
        self.labels = np.load(folder / "targets/label.npy")

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return {"pixels": self.pixels[row], "labels": self.labels[row]}


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}


def last_whole(out: Path) -> str | None:
    """Its last file is trainer_state.json: one that was killed may have left weights without it."""
    whole = {folder.parent for folder in out.glob("checkpoint-*/trainer_state.json")}
    last = max(whole, key=lambda folder: int(folder.name.partition("-")[2]), default=None)
    return str(last) if last else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(options.seed)

    rows = Rows(options.data / "train")
    net = WithLoss(inputs=64, units=64, classes=10)
    net.adapt(rows.pixels)
    arguments = TrainingArguments(
        output_dir=str(options.out),
        num_train_epochs=options.epochs,
        learning_rate=options.lr,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=512,
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="epoch",
        seed=options.seed,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(
        net,
        arguments,
        train_dataset=rows,
        eval_dataset=Rows(options.data / "val"),
        compute_metrics=accuracy,
    )
    trainer.train(resume_from_checkpoint=last_whole(options.out) if options.resume else None)


if __name__ == "__main__":
    main()
