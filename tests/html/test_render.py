"""A page shows what it is given as text, and fetches and runs nothing."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from pipeline.html import number, render, size

HOSTILE = "<script>alert('\"&')</script>"
ESCAPED = "&lt;script&gt;alert(&#39;&#34;&amp;&#39;)&lt;/script&gt;"

TEMPLATE = """{% extends "base.html" %}
{% from "tables.html" import table, row %}
{% block title %}{{ title }}{% endblock %}
{% block body %}
{% call table([""] + names) %}
{% call(name) row(names, title, title) %}{{ name }} {{ title }}{% endcall %}
{% endcall %}
{% endblock %}
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text(TEMPLATE)
    return path


def test_every_value_is_escaped_wherever_it_stands(template: Path) -> None:
    page = render(template, title=HOSTILE, names=[HOSTILE])
    assert "<script" not in page
    assert page.count(ESCAPED) == 6


def test_a_value_that_is_missing_is_an_error(template: Path) -> None:
    with pytest.raises(UndefinedError, match="title"):
        render(template, names=[])


def test_a_page_needs_nothing_but_itself(template: Path) -> None:
    page = render(template, title="Title", names=["a", "b"])
    assert page.startswith("<!doctype html>\n") and page.endswith("</html>\n")
    assert "<title>Title</title>" in page and "prefers-color-scheme: dark" in page
    assert not any(word in page for word in ("<script", "<link", "<img", "http", "url(", "@import"))
    assert page.count("<td>") == 1 + 2 and page.count("<th ") == 2 + 1


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        ("0a" * 32, True),
        ("0a" * 20, True),
        ("0a" * 15, False),
        ("digits" * 8, False),
        (None, False),
    ],
)
def test_a_digest_stays_on_one_line(tmp_path: Path, value: object, whole: bool) -> None:
    (tmp_path / "page.html").write_text('{% from "tables.html" import cells %}{{ cells("A", v) }}')
    page = render(tmp_path / "page.html", v=value)
    assert (f'<td><code class="hash" title="{value}">{value}</code></td>' in page) == whole
    assert str(value) in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (1 / 3, "0.3333"),
        (12, "12"),
        (1234567, "1234567"),
        (1e7, "1e+07"),
        ("nan", "nan"),
    ],
)
def test_a_number_has_four_digits(value: object, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (1000, "1 kB"), (1.5e6, "1.5 MB"), (2e12, "2000 GB")]
)
def test_a_size_is_in_powers_of_1000(count: float, text: str) -> None:
    assert size(count) == text
