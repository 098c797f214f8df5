"""What `train` goes on from: a checkpoint an epoch, and, when it was asked to end, the state within
one. A damaged one is never gone on from."""

import random
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.files import replacing
from pipeline.run import resume_state

WITHIN = "within"


def epoch_file(framework: ModuleType, output: Path, epoch: int) -> Path:
    return output / f"epoch_{epoch:04d}{framework.SUFFIX}"


def save_epoch(framework: ModuleType, training: Any, output: Path, epoch: int) -> None:
    path = epoch_file(framework, output, epoch)
    with replacing(path) as partial:
        framework.save(training, partial)
    resume_state.save(output, path)
    resume_state.remove(output, _within(framework, output))


def last_epoch(framework: ModuleType, output: Path) -> int:
    """Of those that are whole, in a row from the first; what lies behind it is removed."""
    epoch = 0
    while (fault := resume_state.fault(output, epoch_file(framework, output, epoch + 1))) is None:
        epoch += 1
    behind = sorted(output.glob(f"epoch_*{framework.SUFFIX}"))[epoch:]
    if behind or fault != resume_state.NEVER:
        print(f"{epoch_file(framework, output, epoch + 1)}: {fault}; not used", flush=True)
        resume_state.remove(output, [*behind, *_within(framework, output)])
    return epoch


def save_within(
    framework: ModuleType, training: Any, output: Path, epoch: int, losses: list[Any]
) -> None:
    """The state after some steps of an epoch, those steps' losses, and every generator's state."""
    state, rest = _within(framework, output)
    with replacing(state) as partial:
        framework.save(training, partial)
    arrays = {"epoch": np.array(epoch), "losses": np.array([float(loss) for loss in losses])}
    arrays |= {f"python/{name}": array for name, array in _generators().items()}
    arrays |= {f"own/{name}": array for name, array in framework.randomness(training).items()}
    with replacing(rest) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    resume_state.save(output, state, rest)


def load_within(framework: ModuleType, training: Any, output: Path, epoch: int) -> list[float]:
    """The losses of the epoch's first steps, which `training` then has behind it; none if there is
    no such state."""
    state, rest = _within(framework, output)
    if resume_state.fault(output, state) or resume_state.fault(output, rest):
        return []
    with np.load(rest) as file:
        arrays = dict(file)
    if arrays["epoch"] != epoch:
        return []
    framework.load(training, state)
    _set_generators(_those(arrays, "python/"))
    framework.set_randomness(training, _those(arrays, "own/"))
    losses: list[float] = arrays["losses"].tolist()
    print(f"going on after step {len(losses)} of epoch {epoch}", flush=True)
    return losses


def _within(framework: ModuleType, output: Path) -> list[Path]:
    return [output / f"{WITHIN}{framework.SUFFIX}", output / f"{WITHIN}.steps.npz"]


def _those(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(kind): array for k, array in arrays.items() if k.startswith(kind)}


def _generators() -> dict[str, np.ndarray]:
    """Python's and numpy's, which a model may draw from."""
    version, words, drawn = random.getstate()
    _, keys, *rest = np.random.get_state(legacy=True)
    return {
        "words": np.array(words, np.uint64),
        "drawn": np.array([] if drawn is None else [drawn]),
        "version": np.array(version),
        "keys": np.asarray(keys),
        "rest": np.array(rest, np.float64),
    }


def _set_generators(found: Mapping[str, np.ndarray]) -> None:
    drawn = found["drawn"].tolist()
    words = tuple(int(word) for word in found["words"])
    random.setstate((int(found["version"]), words, drawn[0] if drawn else None))
    position, has_gauss, gauss = found["rest"].tolist()
    np.random.set_state(("MT19937", found["keys"], int(position), int(has_gauss), gauss))
