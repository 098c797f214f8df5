"""A chart is numbers, placed here and drawn as SVG by charts.html: nothing is fetched or run."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

WIDTH, HEIGHT = 340, 220
"""In the units of a drawing, which is about as large on a phone."""
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 10, 38
STEPS = 4
"""An axis has about so many ticks."""
DRAWN = 400
"""Points of a line; of a longer one every second, third, … is drawn, and the last."""
LEVELS = 12
"""Of brightness, in a raster."""

Points = Sequence[tuple[float, float]]
Curves = Mapping[str, Points]
"""Column of a history -> (epoch, value)."""


class Tick(NamedTuple):
    """A tick has its place in the drawing and its text."""

    at: float
    text: str


class Mark(NamedTuple):
    """An upright line has a color like a line, or 0 for none of its own."""

    at: float
    text: str
    color: int = 0


class Line(NamedTuple):
    """A line is a path; its `color` is one of the style's, counted from 1."""

    name: str
    path: str
    color: int
    dashed: bool


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes, with what is drawn in it."""

    title: str
    x_title: str
    y_title: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[Line] = ()
    dots: Sequence[tuple[float, float]] = ()
    marks: Sequence[Mark] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


class Scale:
    """A scale places the values of one axis between two ends of the drawing; that of a loss which
    fell to less than a hundredth is logarithmic."""

    def __init__(
        self, values: Iterable[float], start: float, end: float, loss: bool = False
    ) -> None:
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        self.low, self.high = min(finite), max(finite)
        if self.low == self.high:
            margin = abs(self.low) / 2 or 0.5
            self.low, self.high = self.low - margin, self.high + margin
        self.logarithmic = loss and 0 < self.low < self.high / 100
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = map(math.log, (low, high, value))
        share = (value - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, whole: bool = False) -> list[Tick]:
        """Returns round numbers within the axis; whole ones where no others make sense."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            values = [10.0**power for power in range(first, last + 1)]
        else:
            step = _round_step((self.high - self.low) / STEPS)
            step = max(round(step), 1) if whole else step
            first, last = math.ceil(self.low / step), math.floor(self.high / step)
            values = [number * step for number in range(first, last + 1)]
        return [Tick(self(value), f"{value:.6g}") for value in values]


def _round_step(rough: float) -> float:
    """Returns the next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * by for by in (1, 2, 5, 10) if power * by >= rough * 0.999)


def learning_curves(
    histories: Mapping[str, Curves], chosen: Mapping[str, int] | None = None
) -> list[Panel]:
    """Returns a panel for each metric, with a line for each split of each history.

    One history has a color a split. Of several each has its color, and what was trained on is
    dashed; `chosen` has the epoch of each that is marked.
    """
    columns = [(name, column) for name, curves in histories.items() for column in curves]
    metrics = dict.fromkeys(column.rpartition("/")[2] for _, column in columns)
    return [_curves(histories, chosen or {}, metric) for metric in metrics]


def _curves(histories: Mapping[str, Curves], chosen: Mapping[str, int], metric: str) -> Panel:
    alone, names = len(histories) == 1, list(histories)
    splits = list(dict.fromkeys(c.rpartition("/")[0] for each in histories.values() for c in each))
    traces = [
        (name, column.rpartition("/")[0], [p for p in points if math.isfinite(p[1])])
        for name, curves in histories.items()
        for column, points in curves.items()
        if column.rpartition("/")[2] == metric
    ]
    x = Scale((p[0] for *_, points in traces for p in points), LEFT, WIDTH - RIGHT)
    values = (p[1] for *_, points in traces for p in points)
    y = Scale(values, HEIGHT - BOTTOM, TOP, metric == "loss")
    lines = [
        Line(
            f"{name} {split}".strip() or metric,
            _path([(x(a), y(b)) for a, b in _thinned(points)]),
            1 + (splits.index(split) if alone else names.index(name)),
            not alone and split == "train",
        )
        for name, split, points in traces
    ]
    marks = [
        Mark(x(epoch), f"{name} chosen".strip(), 0 if alone else 1 + names.index(name))
        for name, epoch in chosen.items()
    ]
    return Panel(
        title=metric,
        x_title="epoch",
        y_title=metric,
        x_ticks=x.ticks(whole=True),
        y_ticks=y.ticks(),
        lines=lines,
        marks=marks,
    )


def _thinned(points: Points) -> Points:
    every = math.ceil(len(points) / DRAWN)
    return points if every <= 1 else [*points[:-1:every], points[-1]]


def _path(points: Points) -> str:
    """Returns the path through the points; a single one is a dot, by its round ends."""
    if len(points) == 1:
        points = [*points, points[0]]
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""


def scatter(pairs: Points, title: str, x_title: str, y_title: str) -> Panel:
    """Returns points over axes of one range, with the line on which both are equal."""
    values = [value for pair in pairs for value in pair]
    x, y = Scale(values, LEFT, WIDTH - RIGHT), Scale(values, WIDTH - BOTTOM, TOP)
    ends = [(x(end), y(end)) for end in (x.low, x.high)]
    finite = [pair for pair in pairs if all(map(math.isfinite, pair))]
    return Panel(
        title=title,
        x_title=x_title,
        y_title=y_title,
        x_ticks=x.ticks(),
        y_ticks=y.ticks(),
        lines=[Line("exact", _path(ends), 0, True)],
        dots=[(x(a), y(b)) for a, b in finite],
        height=WIDTH,
        bottom=WIDTH - BOTTOM,
    )


class MatrixCell(NamedTuple):
    """`strength` is the root of the share of its row, so that few mistakes are seen as well."""

    row: int
    column: int
    times: int
    strength: float


def matrix(pairs: Iterable[tuple[int, int]]) -> list[MatrixCell]:
    """Returns the cells of a confusion matrix that hold rows; `pairs` are (actual, answered)."""
    counts: dict[tuple[int, int], int] = {}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    totals: dict[int, int] = {}
    for (actual, _), count in counts.items():
        totals[actual] = totals.get(actual, 0) + count
    return [
        MatrixCell(actual, answered, count, round(math.sqrt(count / totals[actual]), 3))
        for (actual, answered), count in sorted(counts.items())
    ]


class Shade(NamedTuple):
    """All cells of one brightness, as a path; `opacity` is that brightness, up to 1."""

    opacity: float
    path: str


def raster(rows: Sequence[Sequence[float]], low: float, high: float) -> list[Shade]:
    """Returns the cells that are brighter than `low`, each of one unit, a run of equal ones as
    one."""
    paths: dict[int, str] = {}
    for y, row in enumerate(rows):
        cells = [round(LEVELS * (value - low) / (high - low or 1)) for value in row]
        start = 0
        for x in range(1, len(cells) + 1):
            if x == len(cells) or cells[x] != cells[start]:
                run = f"M{start} {y}h{x - start}v1h-{x - start}z"
                paths[cells[start]] = paths.get(cells[start], "") + run
                start = x
    return [Shade(round(n / LEVELS, 3), path) for n, path in sorted(paths.items()) if n > 0]
