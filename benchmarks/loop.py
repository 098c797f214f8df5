"""`python -m benchmarks.loop`: an epoch of the training loop beside the loop one writes by hand.

Both take the digits' steps on the same kind of net in one process, some epochs of one after as many
of the other. By hand is a DataLoader's loop in PyTorch, and `fit` in Keras. `rows` picks its rows
from tensors without a DataLoader: the least that a loop in PyTorch can be. The figure is processor
time, as median (least to most) of the ratios of neighbours, each of several epochs.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CASES = (
    *(("torch_mlp", size) for size in (32, 256)),
    *(("torch_cnn", size) for size in (32, 256)),
    *(("keras_mlp", size) for size in (32, 256)),
    ("keras_custom", 32),
)
EPOCHS = 10
"""Of each in a pair: `fit` has a beginning and an end of its own."""
Epochs = Callable[[], Any]
"""Takes so many epochs."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop")
    parser.add_argument("--pairs", type=int, default=7, metavar="N")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "SIZE", "DATA"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        model, size, data = arguments.one
        measure(model, int(size), Path(data), arguments.pairs)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        prepare(Path(scratch) / "data")
        for model, size in CASES:
            words = ["--one", model, str(size), f"{scratch}/data", "--pairs", str(arguments.pairs)]
            subprocess.run([sys.executable, "-m", "benchmarks.loop", *words], cwd=ROOT, check=True)
    return 0


def params(model: str, size: int) -> Any:
    from pipeline.config.composition import compose_conf, interpolated
    from pipeline.config.params import Params
    from pipeline.config.reading import read

    values = compose_conf(ROOT / "conf", [f"model={model}", f"train.batch_size={size}"])
    return read(Params, interpolated(values))


def prepare(output: Path) -> None:
    from pipeline import prepare as stage

    output.mkdir()
    stage.prepare(ROOT / "data", output, params("torch_mlp", 32))


def measure(model: str, size: int, data: Path, pairs: int) -> None:
    from pipeline.data import arrays
    from pipeline.training import epochs as loop
    from pipeline.training import parts

    given = params(model, size)
    framework = parts.training_module(given.model, given.train)
    inputs, targets = arrays.split(data, "train")

    def training() -> Any:
        built = parts.build(given.model, given.train, arrays.schema(data), "cpu", targets)
        loop.adapt(framework, built, inputs)
        return built

    mine = training()

    def ours() -> None:
        for number in range(EPOCHS):
            batches = loop.epoch_batches(given.train, number, arrays.count(inputs))
            losses: list[Any] = []
            for _ in loop.steps(framework, mine, inputs, targets, batches, losses):
                pass
            loop.mean_loss(losses, batches)

    whole = ({n: np.array(array) for n, array in arrays.items()} for arrays in (inputs, targets))
    x, y = (next(iter(each.values())) for each in whole)
    by_hand = keras_loops if given.model.framework == "keras" else torch_loops
    for name, theirs in by_hand(training(), x, y, size).items():
        ours(), theirs()  # what is traced or allocated once
        ratios = sorted(seconds(ours) / seconds(theirs) for _ in range(pairs))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{model:<14}{size:>5} rows a step  beside {name:<12}{spread}", flush=True)


def seconds(epochs: Epochs) -> float:
    start = time.process_time()
    epochs()
    return time.process_time() - start


def torch_loops(training: Any, x: np.ndarray, y: np.ndarray, size: int) -> Mapping[str, Epochs]:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    net, loss, optimizer = training.net, training.loss, training.optimizer
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    loader = DataLoader(TensorDataset(*tensors), batch_size=size, shuffle=True)

    def batches() -> Iterator[Any]:
        for rows in torch.randperm(len(x)).split(size):
            yield tuple(each[rows] for each in tensors)

    def epochs(source: Callable[[], Any]) -> None:
        for _ in range(EPOCHS):
            net.train()
            total = 0.0
            for inputs, target in source():
                optimizer.zero_grad()
                value = loss(net(inputs), target)
                value.backward()
                optimizer.step()
                total += value.item() * len(inputs)

    return {"DataLoader": lambda: epochs(lambda: loader), "rows": lambda: epochs(batches)}


def keras_loops(training: Any, x: np.ndarray, y: np.ndarray, size: int) -> Mapping[str, Epochs]:
    return {"fit": lambda: training.model.fit(x, y, batch_size=size, epochs=EPOCHS, verbose=0)}


if __name__ == "__main__":
    sys.exit(main())
