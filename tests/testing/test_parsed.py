"""What a stage or DVC has read once is given again, and only that."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML, YAMLError

from testing.preloaded import parsed
from testing.project import ROOT

TEXTS = [(ROOT / name).read_text() for name in ("params.yaml", "dvc.yaml", "dvc.lock")]


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What came to the parser itself."""
    came: list[Any] = []
    plainly = YAML.load

    def load(self: YAML, stream: Any) -> Any:
        came.append(stream)
        return plainly(self, stream)

    monkeypatch.setattr(YAML, "load", load)
    parsed.once(tmp_path / "parsed")
    yield came


@pytest.mark.parametrize("text", TEXTS, ids=["params", "stages", "lock"])
def test_it_is_what_the_parser_makes_of_it_and_parsed_once(texts: list[Any], text: str) -> None:
    plain = YAML(typ="safe").load(io.StringIO(text))
    first, second = (YAML(typ="safe").load(text) for _ in range(2))
    assert plain == first == second
    assert texts[1:] == [text]
    first.clear()
    assert second == plain == YAML(typ="safe").load(text)


def test_another_text_is_parsed_and_so_is_what_keeps_comments(texts: list[Any]) -> None:
    assert [YAML(typ="safe").load(text)["a"] for text in ("a: 1", "a: 2")] == [1, 2]
    kept = [YAML(typ="rt").load("a: 1  # one") for _ in range(2)]
    assert kept[0].ca.items and kept[0] is not kept[1]
    assert texts == ["a: 1", "a: 2", "a: 1  # one", "a: 1  # one"]


def test_a_text_that_is_none_fails_each_time(texts: list[Any]) -> None:
    for _ in range(2):
        with pytest.raises(YAMLError):
            YAML(typ="safe").load("a: [")
    assert len(texts) == 2


def test_another_process_is_given_what_one_has_read(
    texts: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = YAML(typ="safe").load("a: &same [1]\nb: *same\n")
    parsed.once(tmp_path / "parsed")  # which knows nothing of the one before but its folder
    second = YAML(typ="safe").load("a: &same [1]\nb: *same\n")
    assert first == second and second["a"] is second["b"] and len(texts) == 1


def test_both_parsers_read_for_themselves(texts: list[Any]) -> None:
    for pure in (True, False, True):
        assert YAML(typ="safe", pure=pure).load("a: 1") == {"a": 1}
    assert len(texts) == 2


def test_without_a_place_to_keep_it_a_text_is_parsed(texts: list[Any], tmp_path: Path) -> None:
    (tmp_path / "parsed").rmdir()
    assert [YAML(typ="safe").load("a: 1") for _ in range(2)] == [{"a": 1}] * 2
    assert len(texts) == 2
