"""What `train` goes on from: a checkpoint an epoch, and, when it was asked to end, the state within
one. A damaged one is never gone on from."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import replacing
from pipeline.frameworks.contract import TrainingModule
from pipeline.run import resume_state
from pipeline.training.history import Row, retained

WITHIN = "within"
Replacing = Callable[[Path], AbstractContextManager[Path]]
"""Gives a place to write what is to have this name, whole."""


def epoch_file(framework: TrainingModule[Any], output: Path, epoch: int) -> Path:
    """Returns the path of an epoch's checkpoint."""
    return output / f"epoch_{epoch:04d}{framework.SUFFIX}"


def size(path: Path) -> int:
    """Returns the bytes of a checkpoint, a file or a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def at_hand(framework: TrainingModule[Any], folder: Path, history: Sequence[Row]) -> list[Row]:
    """Returns the rows of the epochs whose checkpoints are there; a command leaves one."""
    return [row for row in history if epoch_file(framework, folder, int(row["epoch"])).exists()]


def save_epoch(
    framework: TrainingModule[Any],
    write: Callable[[Path], None],
    output: Path,
    history: Sequence[Row],
    keep: int | None,
    replace: Replacing = replacing,
) -> None:
    """Has `write` write the last epoch's checkpoint, whole; then removes the state within the epoch
    and the checkpoints that do not stay."""
    path = epoch_file(framework, output, len(history))
    with replace(path) as partial:
        write(partial)
    resume_state.save(output, path)
    stay = {epoch_file(framework, output, epoch) for epoch in retained(history, keep)}
    resume_state.remove(output, [*_all_within(output), *_others(framework, output, stay)])


def last_epoch(
    framework: TrainingModule[Any], output: Path, history: Sequence[Row], keep: int | None
) -> int:
    """Returns the last epoch of which all checkpoints that stay are whole; removes what lies behind
    it."""
    faults: dict[int, str | None] = {}

    def whole(epoch: int) -> bool:
        for each in retained(history[:epoch], keep):
            if each not in faults:
                faults[each] = resume_state.fault(output, epoch_file(framework, output, each))
        return not any(faults[each] for each in retained(history[:epoch], keep))

    last = next((epoch for epoch in range(len(history), 0, -1) if whole(epoch)), 0)
    damaged = [each for each in sorted(faults) if faults[each] not in (None, resume_state.NEVER)]
    upto = {epoch_file(framework, output, epoch) for epoch in range(1, last + 1)}
    behind = _others(framework, output, upto)
    for epoch in damaged:
        print(f"{epoch_file(framework, output, epoch)}: {faults[epoch]}; not used", flush=True)
    if damaged or behind:
        resume_state.remove(output, [*behind, *_all_within(output)])
    return last


def _others(framework: TrainingModule[Any], output: Path, stay: set[Path]) -> list[Path]:
    return [path for path in output.glob(f"epoch_*{framework.SUFFIX}") if path not in stay]


def save_within(
    framework: TrainingModule[Any], training: Any, output: Path, epoch: int, losses: list[Any]
) -> None:
    """Writes the state after some steps of an epoch, their losses, and every generator's state."""
    state, rest = within(framework, output)
    with replacing(state) as partial:
        framework.save(training, partial)
    save_steps(framework, training, rest, epoch, losses)
    resume_state.save(output, state, rest)


def save_steps(
    framework: TrainingModule[Any], training: Any, path: Path, epoch: int, losses: list[Any]
) -> None:
    """Writes the losses of an epoch's first steps, and every generator's state after them."""
    arrays = {"epoch": np.array(epoch), "losses": np.array([float(loss) for loss in losses])}
    arrays |= {f"python/{name}": array for name, array in _generators().items()}
    arrays |= {f"own/{name}": array for name, array in framework.randomness(training).items()}
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_within(
    framework: TrainingModule[Any],
    training: Any,
    output: Path,
    epoch: int,
    rank: int = 0,
    ranks: int = 1,
) -> list[float]:
    """Reads what `save_within` wrote; returns the losses of the steps that `training` then has
    behind it, none if there is no such state, of all ranks."""
    state, rest = within(framework, output, rank)
    needed = [state, *(within(framework, output, each)[1] for each in range(ranks))]
    if any(resume_state.fault(output, path) for path in needed):
        return []
    with np.load(rest) as file:
        arrays = dict(file)
    if arrays["epoch"] != epoch:
        return []
    framework.load(training, state)
    _set_generators(_under(arrays, "python/"))
    framework.set_randomness(training, _under(arrays, "own/"))
    losses: list[float] = arrays["losses"].tolist()
    if rank == 0:
        print(f"going on after step {len(losses)} of epoch {epoch}", flush=True)
    return losses


def within(framework: TrainingModule[Any], output: Path, rank: int = 0) -> tuple[Path, Path]:
    """Returns where the state within an epoch lies, and what is a rank's own of it."""
    number = f".{rank}" if rank else ""
    return output / f"{WITHIN}{framework.SUFFIX}", output / f"{WITHIN}.steps{number}.npz"


def _all_within(output: Path) -> list[Path]:
    return list(output.glob(f"{WITHIN}.*"))


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): array for k, array in arrays.items() if k.startswith(prefix)}


def _generators() -> dict[str, np.ndarray]:
    """Returns the states of Python's and numpy's generators, which a model may draw from."""
    version, words, drawn = random.getstate()
    _, keys, *rest = np.random.get_state(legacy=True)
    return {
        "words": np.array(words, np.uint64),
        "drawn": np.array([] if drawn is None else [drawn]),
        "version": np.array(version),
        "keys": np.asarray(keys),
        "rest": np.array(rest, np.float64),
    }


def _set_generators(states: Mapping[str, np.ndarray]) -> None:
    drawn = states["drawn"].tolist()
    words = tuple(int(word) for word in states["words"])
    random.setstate((int(states["version"]), words, drawn[0] if drawn else None))
    position, has_gauss, gauss = states["rest"].tolist()
    np.random.set_state(("MT19937", states["keys"], int(position), int(has_gauss), gauss))
