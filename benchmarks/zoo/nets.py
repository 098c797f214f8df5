"""The list of nets: a file a family in nets/, of configuration alone."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reproduced import ROOT
from pipeline.config.merge import composed
from pipeline.config.yaml_text import load_yaml

FOLDER = Path(__file__).parent / "nets"
LR, ROWS, MANY = 0.01, 40, 8
OPTIMIZER = {
    "pytorch": {"_target_": "torch.optim.SGD", "lr": "${train.lr}", "momentum": 0.9},
    "keras": {"_target_": "keras.optimizers.SGD", "learning_rate": "${train.lr}", "momentum": 0.9},
}
FORMATS = {"pytorch": "torch_export", "keras": "saved_model"}
OVERRIDES = (
    *(
        "data=examples",
        "model=hugging_face",
        "train=plain",
        "train.epochs=1",
        "checkpoint=regression",
    ),
    *("checkpoint.steps=5", f"checkpoint.many={MANY}", "checkpoint.batch_sizes=[3,2]"),
    *("export.attempt=[onnx]", f"train.lr={LR}", "train.batch_size=12"),
)
OF_DATA = ("inputs", "targets", "dimensions")


@dataclass(frozen=True)
class Net:
    """A net of the list, with what its file says of it."""

    family: str
    name: str
    entry: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Returns what its results are kept under, while its definition stays."""
        text = json.dumps([self.entry, OVERRIDES, OPTIMIZER, ROWS], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def framework(self) -> str:
        return str(self.entry.get("framework", "pytorch"))

    @property
    def format(self) -> str:
        """Returns the format that holds it bit for bit, and trains on."""
        return FORMATS[self.framework]

    @property
    def libraries(self) -> list[str]:
        """Returns the packages that its parts are of, but for torch and this project."""
        packages = {target.partition(".")[0] for target in _targets(self.entry["net"])}
        return sorted(packages - {"torch", "models"})

    def params(self, train: bool = True) -> dict[str, Any]:
        """Returns the whole of params.yaml; `train` is whether the programs that train on are
        exported, too."""
        values, _ = composed(ROOT / "conf", OVERRIDES)
        entry = dict(self.entry)
        ranges = {k: v.pop("range") for k, v in _ports(entry) if "range" in v}
        given = {key: entry.pop(key, {}) for key in OF_DATA}
        rows = values["data"]["rows"] | given | {"count": ROWS, "ranges": ranges}
        values["data"] |= given | {"rows": rows}
        fixed = {"name": self.name, "framework": self.framework, "formats": [self.format]}
        optimizer = OPTIMIZER[self.framework] | {_rate(self.framework): LR}
        own = {"optimizer": optimizer, "libraries": self.libraries}
        values["model"] |= fixed | own | entry
        values["export"] |= {"formats": [self.format], "train": train}
        return values


def _targets(config: Any) -> Iterator[str]:
    """Yields what is named in a configuration and below."""
    if isinstance(config, Mapping):
        yield from (v for k, v in config.items() if k == "_target_")
        config = [*config.values()]
    for each in config if isinstance(config, list) else ():
        yield from _targets(each)


def _rate(framework: str) -> str:
    return "lr" if framework == "pytorch" else "learning_rate"


def _ports(entry: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields inputs and targets by name, as copies that stand in the entry from now on; the source
    of each is its name."""
    for kind in ("inputs", "targets"):
        entry[kind] = {n: {"source": n, **port} for n, port in entry.get(kind, {}).items()}
        yield from entry[kind].items()


def nets(chosen: Sequence[str] = ()) -> list[Net]:
    """Returns the nets of these families or names, or all. Raises ValueError for what is none."""
    everything = [
        Net(path.stem, name, entry)
        for path in sorted(FOLDER.glob("*.yaml"))
        for name, entry in load_yaml(path.read_text(), path.name)["nets"].items()
    ]
    known = {each.family for each in everything} | {each.name for each in everything}
    if unknown := [each for each in chosen if each not in known]:
        raise ValueError(f"found {unknown[0]!r}, expected a family or a name of {FOLDER}")
    return [each for each in everything if not chosen or {each.family, each.name} & {*chosen}]
