"""Models that are tried on one batch, as `train` does it before the first epoch."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipeline.config.params import Model
from pipeline.config.reading import Component
from pipeline.errors import PipelineError
from pipeline.frameworks.contract import Framework
from pipeline.training.epochs import adapt
from pipeline.training.trial import demand_trainable
from testing.parts import parts
from testing.training import settings_of

ROWS = np.random.default_rng(0).normal(3, 5, (96, 4)).astype(np.float32)
TWO = (ROWS[:, 0] > ROWS[:, 1]).astype(np.int64)
THREE = ROWS[:, :3].argmax(axis=1).astype(np.int64)
NUMBER = (ROWS @ np.float32([1, -2, 0, 1])).astype(np.float32)


def prepared(folder: Path, target: np.ndarray, classes: int | None) -> Path:
    """Writes what `prepare` would of ROWS and this target."""

    schema = {
        "inputs": {"x": {"dtype": "float32", "shape": [4]}},
        "targets": {"label": described(target, classes)},
    }
    folder.mkdir()
    (folder / "schema.json").write_text(json.dumps(schema))
    for name, rows in {"train": slice(0, 64), "val": slice(64, 96)}.items():
        (folder / name / "inputs").mkdir(parents=True)
        np.save(folder / name / "inputs/x.npy", ROWS[rows])
        (folder / name / "targets").mkdir()
        np.save(folder / name / "targets/label.npy", target[rows])
    return folder


def described(target: np.ndarray, classes: int | None) -> dict[str, Any]:
    """Returns what schema.json says of a target."""
    return {"dtype": str(target.dtype), "shape": [], "classes": classes, "labels": None}


def fault(
    framework: Framework[Any],
    name: str,
    folder: Path,
    net: Callable[[], Any],
    loss: Callable[[], Any] | None,
    optimizer: Callable[..., Any],
    *,
    target: np.ndarray = TWO,
    classes: int | None = 2,
    outputs: tuple[str, ...] = ("answer",),
    metrics: Mapping[str, str] | None = None,
    scheduler: Callable[..., Any] | None = None,
    batch_size: int = 32,
) -> str | None:
    """Returns what the trial says of a model; None where it may be trained."""
    data = prepared(folder / "data", target, classes)
    given = {"x": {"dtype": "float32", "shape": [4]}}
    wanted = {"label": described(target, classes)}

    def build() -> Any:
        framework.configure(1)
        framework.seed(0)
        chosen = parts(net, loss, optimizer, scheduler, given, outputs=outputs, targets=wanted)
        return framework.build(chosen)

    components = dict.fromkeys(("net", "loss", "optimizer"), Component(_target_="of.the.test"))
    fixed: dict[str, Any] = {"scheduler": None, "augment": None, "formats": (), "rename": {}}
    fixed |= {"program": None, "weights_of": None, "libraries": ()}
    model = Model(name="tried", framework=name, **components, outputs=outputs, **fixed)
    if metrics is None:
        metrics = {"accuracy": "accuracy_score"} if classes else {}
    chosen = {k: Component(_target_=f"sklearn.metrics.{v}") for k, v in metrics.items()}
    train = settings_of(batch_size=batch_size, metrics=chosen)
    try:
        begin = partial(adapt, framework)
        demand_trainable(SimpleNamespace(model=model, train=train), build, begin, data)
    except PipelineError as error:
        return str(error)
    return None
