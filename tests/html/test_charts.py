"""A chart shows what it is given, at round numbers, whatever the numbers are."""

import math
import re
from pathlib import Path

import pytest

from pipeline.html import charts, render

PAGE = """{% from "charts.html" import panel, confusion, picture, bar %}
{% for chart in panels %}{{ panel(chart) }}{% endfor %}
{{ confusion(cells, 3, true) }}{{ picture(shades, 3, 2) }}{{ bar(0.25) }}
"""


def ticks(scale: charts.Scale, **options: bool) -> list[str]:
    return [tick.text for tick in scale.ticks(**options)]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0, 1), ["0", "0.5", "1"]),
        ((0.2, 0.9), ["0.2", "0.4", "0.6", "0.8"]),
        ((-1e-7, 1e-7), ["-1e-07", "-5e-08", "0", "5e-08", "1e-07"]),
        ((0, 12345), ["0", "5000", "10000"]),
        ((7, 7), ["4", "6", "8", "10"]),
        ((0, 0), ["-0.5", "0", "0.5"]),
        ((math.nan, math.inf), ["-0.5", "0", "0.5"]),
        ((), ["-0.5", "0", "0.5"]),
    ],
)
def test_an_axis_has_round_numbers_within_it(values: tuple, texts: list[str]) -> None:
    assert ticks(charts.Scale(values, 0, 100)) == texts


def test_epochs_are_whole() -> None:
    assert ticks(charts.Scale([1, 2], 0, 100), whole=True) == ["1", "2"]
    assert ticks(charts.Scale([1, 1], 0, 100), whole=True) == ["1"]
    assert ticks(charts.Scale([1, 8], 0, 100), whole=True) == ["2", "4", "6", "8"]


def test_a_loss_that_fell_far_is_drawn_over_powers_of_ten() -> None:
    scale = charts.Scale([0.005, 500], 0, 100, loss=True)
    assert ticks(scale) == ["0.01", "0.1", "1", "10", "100"]
    assert (scale(0.005), scale(500), scale(math.sqrt(0.005 * 500))) == (0, 100, 50)
    assert not charts.Scale([0, 500], 0, 100, loss=True).logarithmic
    assert not charts.Scale([0.001, 1], 0, 100).logarithmic


def curve(*values: float) -> list[tuple[int, float]]:
    return list(enumerate(values, 1))


def test_a_metric_is_a_panel_with_a_line_for_each_split() -> None:
    history = {"train/loss": curve(3, 1), "val/loss": curve(4, 2), "val/r2": curve(0, 1)}
    loss, r2 = charts.learning_curves({"": history}, {"": 2})
    assert [line.name for line in loss.lines] == ["train", "val"]
    assert [(line.name, line.color, line.dashed) for line in r2.lines] == [("val", 2, False)]
    assert loss.lines[0].path == "M52 67.33L324 182"
    assert [(mark.at, mark.text) for mark in loss.marks] == [(324, "chosen")]


def test_two_histories_share_the_panel_of_a_metric_and_keep_their_color() -> None:
    a, b = {"train/loss": curve(3, 1), "val/loss": curve(4, 2)}, {"val/loss": curve(1, 1, 1)}
    (loss,) = charts.learning_curves({"A": a, "B": b}, {"A": 1, "B": 3})
    assert [(each.name, each.color, each.dashed) for each in loss.lines] == [
        ("A train", 1, True),
        ("A val", 1, False),
        ("B val", 2, False),
    ]
    assert [(mark.text, mark.color) for mark in loss.marks] == [("A chosen", 1), ("B chosen", 2)]


def test_what_is_not_finite_is_not_drawn_and_a_long_history_keeps_its_ends() -> None:
    long = curve(*(math.nan, *range(5000)))
    (panel,) = charts.learning_curves({"": {"val/loss": long}})
    points = panel.lines[0].path[1:].split("L")
    assert len(points) <= charts.DRAWN + 1
    assert points[0] == "52 182" and points[-1] == "324 10"


def test_a_single_epoch_is_a_dot() -> None:
    (panel,) = charts.learning_curves({"": {"val/loss": curve(0.5)}})
    assert panel.lines[0].path == "M188 96L188 96"


def test_a_matrix_has_what_was_answered_and_the_share_of_its_row() -> None:
    cells = charts.matrix([(0, 0), (0, 0), (0, 0), (0, 1), (2, 2)])
    assert cells == [(0, 0, 3, 0.866), (0, 1, 1, 0.5), (2, 2, 1, 1.0)]


def test_a_scatter_has_one_range_for_both_axes() -> None:
    panel = charts.scatter([(0, 0), (10, 5), (1, math.nan)], "title", "actual", "answered")
    assert panel.dots == [(52, 302), (324, 156)]
    assert panel.lines[0].path == "M52 302L324 10"


def test_a_raster_joins_cells_of_one_brightness() -> None:
    shades = charts.raster([[0, 1, 1], [1, 0, 0.5]], 0, 1)
    assert shades == [(0.5, "M2 1h1v1h-1z"), (1.0, "M1 0h2v1h-2zM0 1h1v1h-1z")]
    assert charts.raster([[2, 2]], 2, 2) == []


def test_charts_are_drawn_without_a_script_and_escape_what_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    panels = charts.learning_curves({"<A>": {"val/<b>": curve(1, 2)}}, {"<A>": 1})
    page = render(
        tmp_path / "page.html",
        panels=panels,
        cells=charts.matrix([(0, 0), (1, 2)]),
        shades=charts.raster([[0, 1, 1]], 0, 1),
    )
    assert not re.search(r"<script|<b>a|<A>|http|url\(", page)
    assert page.count("&lt;A&gt;") == 3 and page.count("&lt;b&gt;") == 2
    assert page.count("<svg") == page.count("</svg>") == 6
    assert '<rect width="25.0%"' in page and "<title>1 answered as 2: 1</title>" in page
