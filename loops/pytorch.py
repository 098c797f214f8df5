"""A training loop of one's own in plain PyTorch, for `python -m pipeline train=command`.

It knows nothing of the pipeline but a folder of arrays to read, a folder to write to, and, after
it was killed, the checkpoint to go on from.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch

from models.torch_mlp import TorchMLP


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

    pixels, labels = read(options.data, "train")
    net = TorchMLP(inputs=64, units=64, classes=10)
    net.adapt(pixels.numpy())
    optimizer = torch.optim.Adam(net.parameters(), lr=options.lr)
    done = 0
    if options.resume:
        saved = torch.load(options.resume, weights_only=True)
        net.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        done = saved["epoch"]

    for epoch in range(done + 1, options.epochs + 1):
        order = np.random.default_rng([options.seed, epoch]).permutation(len(pixels))
        losses = []
        for rows in torch.from_numpy(order).split(options.batch_size):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(pixels[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        val_loss, accuracy = judged(net, *read(options.data, "val"))
        log(options.out, epoch, sum(losses) / len(losses), val_loss, accuracy)
        state = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        partial = options.out / "partial"
        torch.save(state, partial)
        partial.rename(options.out / "last.pt")


def read(data: Path, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = np.load(data / split / "inputs/pixels.npy")
    return torch.from_numpy(pixels), torch.from_numpy(np.load(data / split / "targets/label.npy"))


@torch.no_grad()
def judged(net: TorchMLP, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    net.eval()
    answers = net(pixels)
    net.train()
    loss = torch.nn.functional.cross_entropy(answers, labels).item()
    return loss, (answers.argmax(1) == labels).float().mean().item()


def log(out: Path, epoch: int, loss: float, val_loss: float, accuracy: float) -> None:
    with (out / "log.csv").open("a", newline="") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow(["epoch", "train_loss", "val_loss", "val_accuracy"])
        writer.writerow([epoch, loss, val_loss, accuracy])
    print(f"epoch {epoch}: loss {loss:.4f}, val_loss {val_loss:.4f}, val_accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
