"""A bar is on a terminal only, and only where reading takes long."""

import io
import sys

import numpy as np
import pytest

from pipeline.data import progress

BATCHES = [{"x": np.zeros(30)}, {"x": np.zeros(12)}]


def seen(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> str:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    batches = list(progress.shown(iter(BATCHES), "checking", 42))
    assert [len(batch["x"]) for batch in batches] == [30, 12]
    return stream.getvalue()


def test_a_bar_counts_the_rows_on_a_terminal(monkeypatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.0)
    text = seen(monkeypatch, terminal=True)
    assert "checking" in text and "/42" in text


def test_there_is_none_where_it_is_quick(monkeypatch) -> None:
    assert not seen(monkeypatch, terminal=True).strip()


def test_there_is_none_in_a_log(monkeypatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.0)
    assert seen(monkeypatch, terminal=False) == ""
