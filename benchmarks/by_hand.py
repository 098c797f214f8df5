"""What one would write instead of the pipeline: one script, the same model on the same rows.

Trains torch_mlp on the digits, logs it to MLflow as .pt2 with an input example, and has MLflow load
it again and predict in a process of its own. Without a store it trains, and no more.
"""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS, BATCH_SIZE, LEARNING_RATE, UNITS = 20, 32, 0.001, 64
Scores = dict[str, float]


class Net(nn.Module):
    def __init__(self, mean: torch.Tensor, std: torch.Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.layers = nn.Sequential(nn.Linear(64, UNITS), nn.ReLU(), nn.Linear(UNITS, 10))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers((pixels - self.mean) / self.std)


def rows(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open(newline="") as file:
        table = np.array(list(csv.reader(file))[1:], dtype=np.float32)
    return table[:, :-1], table[:, -1].astype(np.int64)


def evaluate(net: Net, loss: nn.Module, x: np.ndarray, y: np.ndarray) -> Scores:
    net.eval()
    with torch.inference_mode():
        logits = net(torch.from_numpy(x))
    value = loss(logits, torch.from_numpy(y)).item()
    return {"loss": value, "accuracy": accuracy_score(y, logits.argmax(1).numpy())}


def fit(data: Path, log: Callable[[Scores, int], None]) -> tuple[Net, np.ndarray, Scores]:
    """Returns the net, rows that it has not seen, and how good it is on them."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x, y = rows(data)
    x_rest, x_test, y_rest, y_test = train_test_split(
        x, y, test_size=0.2, stratify=y, random_state=0
    )
    x_train, x_val, y_train, y_val = train_test_split(
        x_rest, y_rest, test_size=0.25, stratify=y_rest, random_state=0
    )
    mean, std = x_train.mean(axis=0), x_train.std(axis=0)
    std[std == 0] = 1
    net = Net(torch.from_numpy(mean), torch.from_numpy(std))
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    batches = DataLoader(
        TensorDataset(torch.from_numpy(x_train), torch.from_numpy(y_train)),
        batch_size=BATCH_SIZE,
        shuffle=True,
    )
    for epoch in range(1, EPOCHS + 1):
        net.train()
        for inputs, target in batches:
            optimizer.zero_grad()
            loss(net(inputs), target).backward()
            optimizer.step()
        log(evaluate(net, loss, x_val, y_val), epoch)
    return net, x_test, evaluate(net, loss, x_test, y_test)


def fit_and_log(data: Path, store: Path) -> Scores:
    import mlflow
    from mlflow.models import predict

    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    if mlflow.get_experiment_by_name("by-hand") is None:
        mlflow.create_experiment("by-hand", artifact_location=str(store / "artifacts"))
    mlflow.set_experiment("by-hand")

    def log(validated: Scores, epoch: int) -> None:
        mlflow.log_metrics({f"val/{k}": v for k, v in validated.items()}, step=epoch)

    with mlflow.start_run():
        mlflow.log_params({"epochs": EPOCHS, "batch_size": BATCH_SIZE, "lr": LEARNING_RATE})
        net, x_test, tested = fit(data, log)
        mlflow.log_metrics({f"test/{k}": v for k, v in tested.items()})
        logged = mlflow.pytorch.log_model(net, name="model", input_example=x_test[:7])
    predict(logged.model_uri, x_test[:7], env_manager="local")
    return tested


def main(data: Path, store: Path | None = None) -> None:
    tested = fit(data, lambda *_: None)[2] if store is None else fit_and_log(data, store)
    print(f"test accuracy {tested['accuracy']:.4f}")


if __name__ == "__main__":
    main(*(Path(each).resolve() for each in sys.argv[1:]))
