"""A page of a template that has been compiled is the same page, and another text another one."""

from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
from jinja2 import Environment

from pipeline.html import render
from testing.preloaded import templates


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that came to the compiler."""
    texts: list[str] = []
    plainly = Environment.compile

    def compile_text(self: Environment, source: str, *given: object) -> object:
        texts.append(source)
        return plainly(self, source, *given)

    monkeypatch.setattr(Environment, "compile", compile_text)
    monkeypatch.setattr(Environment, "__init__", Environment.__init__)
    templates.once(tmp_path / "templates")
    yield texts


def test_a_template_is_compiled_once_and_another_text_again(
    compiled: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>{{ value }}</p>")
    said = [render(page, value=value) for value in ("a", "<b>")]
    page.write_text("<b>{{ value }}</b>")
    said += [render(page, value="c")]
    assert said == ["<p>a</p>", "<p>&lt;b&gt;</p>", "<b>c</b>"]
    assert compiled == ["<p>{{ value }}</p>", "<b>{{ value }}</b>"]
    with pytest.raises(jinja2.UndefinedError):
        render(page)
