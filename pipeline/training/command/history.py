"""The history of a loop of somebody's own: its log, brought to a row an epoch."""

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.config.command_params import CommandHistory
from pipeline.config.params import Train
from pipeline.errors import ParamsError
from pipeline.training.command import logs
from pipeline.training.command.columns import named, renamed
from pipeline.training.command.logs.contract import Value
from pipeline.training.history import Row

EPOCH = "epoch"
ROUNDING = 1e-6
"""Of an epoch that is counted as steps by steps."""


def history(output: Path, train: Train) -> tuple[str, list[Row]]:
    """Returns what the log is, and a row for each epoch from 1; none where there is no log.

    Raises ParamsError where train.history names no log, or no column of it; DataError for one that
    cannot be read.
    """
    configured = train.history
    said = configured if isinstance(configured, CommandHistory) else CommandHistory(file=configured)
    title, values = logs.read(_places(output, said.file))
    if said.file and not title:
        raise ParamsError(f"train.history: found {said.file}, expected a log below {{output}}")
    columns = dict(said.columns or {})
    unknown = [name for name in columns if name not in {value.column for value in values}]
    if unknown and title:
        there = ", ".join(sorted({value.column for value in values}))
        raise ParamsError(f"train.history.columns: found {unknown[0]}, expected one of {there}")
    return title, rows(values, columns)


def _places(output: Path, file: str | None) -> list[Path]:
    """Returns where logs are looked for, the latest last."""
    if file is None:
        return [output]
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise ParamsError(f"train.history: found {file}, expected a path below {{output}}")
    return sorted(output.glob(file), key=lambda path: path.stat().st_mtime_ns)


def rows(values: Sequence[Value], said: Mapping[str, str | None]) -> list[Row]:
    """Returns the last value of each column in each epoch, the first epoch first."""
    columns = renamed(dict.fromkeys(value.column for value in values), said)
    epochs = _Epochs(values)
    cells: dict[int, dict[str, float]] = {}
    for value in values:
        epoch = epochs.of(value)
        if value.column in columns and epoch is not None and math.isfinite(value.number):
            cells.setdefault(epoch, {})[columns[value.column]] = value.number
    last = max(cells, default=0)
    return [{EPOCH: float(epoch), **cells.get(epoch, {})} for epoch in range(1, last + 1)]


class _Epochs:
    """Tells the epoch of a value: the log says it, for the value itself or in a column of that
    name; or else each validation ends one, or, where nothing is validated, each step is one."""

    def __init__(self, values: Iterable[Value]) -> None:
        said = {v.step: v.number for v in values if v.column.rpartition("/")[2] == EPOCH}
        of_themselves = {v.epoch for v in values if v.epoch is not None}
        self._first = 1.0 if 0.0 in {*said.values(), *of_themselves} else 0.0
        self._said = said
        self._steps = sorted(step for step in self._said if step is not None)
        ends = {v.step for v in values if (named(v.column) or "").startswith("val/")}
        ends = ends or {v.step for v in values}
        self._ends = sorted(end for end in ends if end is not None)

    def of(self, value: Value) -> int | None:
        if value.epoch is not None:
            return self._number(value.epoch)
        if value.step is None:
            return None
        if self._steps:
            at = bisect.bisect_left(self._steps, value.step)
            step = self._steps[min(at, len(self._steps) - 1)]
            return self._number(self._said[step])
        at = bisect.bisect_left(self._ends, value.step)
        return at + 1 if at < len(self._ends) else None

    def _number(self, epochs: float) -> int:
        """Returns the epoch that is under way, or has just ended; a log that has a 0 counts from
        there."""
        return max(1, math.ceil(epochs + self._first - ROUNDING))


def taken_in(history: list[Row], epoch: int, judged: Row) -> list[Row]:
    """Returns the history with what the model of that epoch reaches here in its row, in place of
    what the log says of it."""
    last = max(epoch, len(history))
    by_epoch = {int(row[EPOCH]): row for row in history}
    by_epoch[epoch] = by_epoch.get(epoch, {}) | judged
    return [{**by_epoch.get(each, {}), EPOCH: float(each)} for each in range(1, last + 1)]
