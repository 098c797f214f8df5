"""`python -m benchmarks.large`: how often do the bytes of a large model move in a normal run?

A net of this size is trained for an epoch of Adam, exported, verified and logged in a clone of this
repository's HEAD, stage by stage, and after each stage DVC takes in its output, as `dvc repro`
does. The figures are those of `benchmarks.adopted`, of which those of the same with a tiny net are
taken off: memory in times the weights, bytes in times the state, which is the weights and what Adam
keeps of them. MLflow's copy is that of log-to-mlflow, the cache's copies are DVC's. In the end the
seconds of all stages, without DVC, stand beside those of a script that trains the same, saves
weights and optimizer, and calls log_model.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.adopted import CONF, MODEL, TINY, WIDTH, Cost, measured
from benchmarks.reproduced import clone, run

ROWS = 64
KERAS_MODEL = """
import keras
from keras import layers


def large(width: int, layers_: int) -> keras.Model:
    values = inputs = keras.Input((width,), name="values")
    for _ in range(layers_):
        values = layers.Add()([values, layers.Dense(width, activation="tanh")(values)])
    return keras.Model(inputs, layers.Dense(2, name="logits")(values))
"""
KERAS_CONF = """
name: large
framework: keras
net: {_target_: models.large.large, width: %d, layers_: %d}
loss: {_target_: keras.losses.SparseCategoricalCrossentropy, from_logits: true}
optimizer: {_target_: keras.optimizers.%s, learning_rate: "${train.lr}"}
scheduler: null
outputs: [logits]
formats: [saved_model]
"""
BY_HAND = """
import mlflow
import numpy as np
import torch

from models.large import Large

torch.manual_seed(0)
torch.set_num_threads(1)
rows = np.load("data/large.npz")
values, labels = torch.from_numpy(rows["values"]), torch.from_numpy(rows["label"])
net, loss = Large(%(width)d, %(layers)d), torch.nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
trained = len(values) * 6 // 10
for start in range(0, trained, 8):
    optimizer.zero_grad()
    loss(net(values[start : start + 8]), labels[start : start + 8]).backward()
    optimizer.step()
net.eval()
with torch.inference_mode():
    print(loss(net(values[trained:]), labels[trained:]).item())
torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, "by_hand.pt")
mlflow.set_tracking_uri("sqlite:///by_hand.db")
mlflow.pytorch.log_model(net, name="model", input_example=rows["values"][:7])
"""
KERAS_BY_HAND = """
import keras
import mlflow
import numpy as np
import tensorflow as tf

from models.large import large

keras.utils.set_random_seed(0)
tf.config.threading.set_intra_op_parallelism_threads(1)
rows = np.load("data/large.npz")
values, labels = rows["values"], rows["label"]
net, trained = large(%(width)d, %(layers)d), len(values) * 6 // 10
net.compile(
    keras.optimizers.Adam(0.001), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
)
net.fit(values[:trained], labels[:trained], batch_size=8, verbose=0)
print(net.evaluate(values[trained:], labels[trained:], verbose=0))
net.save("by_hand.keras")
mlflow.set_tracking_uri("sqlite:///by_hand.db")
mlflow.tensorflow.log_model(net, name="model", input_example=values[:7])
"""
NETS = {"pytorch": (MODEL, CONF, BY_HAND), "keras": (KERAS_MODEL, KERAS_CONF, KERAS_BY_HAND)}
DATA = """
name: large
file: large.npz
inputs: {values: {source: values, shape: [%d], dtype: float32}}
targets: {label: {source: label, classes: 2}}
id: null
split: {val: 0.2, test: 0.2, seed: 0}
"""
OPTIONS = ("model=large", "data=large", "train.epochs=1", "train.batch_size=8")


@dataclass
class Step:
    """A stage, and what DVC does with its output."""

    stage: Cost
    dvc: Cost


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large")
    parser.add_argument("--mib", type=int, default=256, metavar="N", help="of the weights")
    parser.add_argument("--frameworks", nargs="*", default=list(NETS), choices=NETS)
    parser.add_argument("--attempt", nargs="*", default=[], help="formats beside the usual one")
    parser.add_argument("--cache", default="reflink,copy", help="DVC's cache.type")
    arguments = parser.parse_args()
    layers = max(1, arguments.mib * 2**18 // WIDTH**2)
    weights = layers * (WIDTH + 1) * WIDTH / 2**18
    more = [f"export.attempt=[{','.join(arguments.attempt)}]"]
    for framework in arguments.frameworks:
        with tempfile.TemporaryDirectory() as scratch:
            given = (framework, arguments.cache, more)
            tiny = costs(clone(Path(scratch) / "tiny"), TINY, 1, *given)
            place = clone(Path(scratch) / "large")
            large = costs(place, WIDTH, layers, *given)
            script = NETS[framework][2] % {"width": WIDTH, "layers": layers}
            by_hand = measured(place, [sys.executable, "-c", script], PYTHONPATH=str(place))
        print(f"\n{framework}, {weights:.0f} MiB of weights, cache.type {arguments.cache}\n")
        print_table(large, tiny, weights)
        seconds = sum(step.stage.seconds for step in large.values())
        ratio = seconds / by_hand.seconds
        print(f"{seconds:.0f} s beside {by_hand.seconds:.0f} s by hand: {ratio:.2f}", flush=True)
    return 0


def print_table(large: dict[str, Step], tiny: dict[str, Step], weights: float) -> None:
    """Prints a line a stage; memory is in times the weights, bytes in times the state."""
    names = "memory beyond | its own | read | written | mapped | DVC read | DVC written"
    print(f"| stage | {names} | seconds | processor |\n{'|---' * 10}|")
    state, total = 3 * weights, np.zeros(7)
    for name, step in large.items():
        least = tiny[name]
        memory = [each / weights for each in _beyond(step.stage, least.stage, "memory", "own")]
        moved = _beyond(step.stage, least.stage, "read", "written", "mapped")
        moved += _beyond(step.dvc, least.dvc, "read", "written")
        cells = [*(each / state for each in moved), step.stage.seconds, step.stage.processor]
        total += cells
        print(f"| {name} | {' | '.join(f'{each:.2f}' for each in (*memory, *cells))} |", flush=True)
    print(f"| all | | | {' | '.join(f'{each:.2f}' for each in total)} |")
    print(f"\nread {total[0] + total[3]:.1f} S, written {total[1] + total[4]:.1f} S, all copies")


def _beyond(cost: Cost, least: Cost, *names: str) -> list[float]:
    return [getattr(cost, name) - getattr(least, name) for name in names]


def costs(
    place: Path, width: int, layers: int, framework: str, cache: str, more: list[str]
) -> dict[str, Step]:
    """Returns what each stage of a net of this size costs, and DVC after it."""
    from pipeline.config.composition import compose_conf, interpolated
    from pipeline.config.yaml_text import dump_yaml, load_yaml

    model, conf, _ = NETS[framework]
    (place / "models/large.py").write_text(model)
    (place / "conf/model/large.yaml").write_text(conf % (width, layers, "Adam"))
    (place / "conf/data/large.yaml").write_text(DATA % width)
    draw = np.random.default_rng(0)
    values = draw.standard_normal((ROWS, width)).astype(np.float32)
    np.savez(place / "data/large.npz", values=values, label=np.arange(ROWS) % 2)
    run(place, "dvc", "config", "--local", "cache.type", cache)
    values_ = interpolated(compose_conf(place / "conf", [*OPTIONS, *more]))
    (place / "params.yaml").write_text(dump_yaml(values_))
    stages = load_yaml((place / "dvc.yaml").read_text(), "dvc.yaml")["stages"]
    result = {}
    for name, stage in stages.items():
        command, dvc = stage["cmd"].split(), ["dvc", "commit", "--quiet", "--force", name]
        result[name] = Step(
            stage=measured(place, [sys.executable, *command[1:]], DVC_STAGE=name, PRELOAD="0"),
            dvc=measured(place, [sys.executable, "-m", *dvc]),
        )
    return result


if __name__ == "__main__":
    sys.exit(main())
