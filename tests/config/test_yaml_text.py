"""YAML is read for the values that DVC reads, and what is written is read as it was, by DVC too."""

import pytest
from dvc.utils.serialize import parse_yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.parser import Parser

from pipeline.config.yaml_text import dump_yaml, load_yaml
from pipeline.errors import ParamsError
from testing.project import ROOT


def test_numbers_are_read_as_dvc_reads_them():
    assert load_yaml("lr: 1e-3\nflag: no\n", "here") == {"lr": 0.001, "flag": "no"}


def test_values_are_the_callers_own_though_a_text_is_parsed_once():
    text = "a: {b: [1, 2]}\n"
    load_yaml(text, "here")["a"]["b"].append(3)
    assert load_yaml(text, "there") == {"a": {"b": [1, 2]}}
    for where in ("here", "there"):
        with pytest.raises(ParamsError, match=f"^{where}: line 2"):
            load_yaml("a: 1\nb: [", where)


def test_broken_yaml_names_file_and_line():
    with pytest.raises(ParamsError, match=r"params.yaml: line 2: no YAML: "):
        load_yaml("a: 1\nb: [", "params.yaml")


LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("a:#-1.")
TREE = st.recursive(LEAF, lambda t: st.lists(t) | st.dictionaries(st.text("abc", min_size=1), t))


@given(st.dictionaries(st.text("abc", min_size=1), TREE))
def test_what_is_dumped_loads_as_it_was(values):
    assert load_yaml(dump_yaml(values), "here") == values


@given(st.dictionaries(st.text(min_size=1), TREE | st.text()))
def test_dvc_reads_what_is_dumped_as_it_is_read_here(values):
    text = dump_yaml(values)
    assert repr(parse_yaml(text, "params.yaml") or {}) == repr(load_yaml(text, "here"))


@pytest.mark.parametrize("name", ["params.yaml", "conf.lock.yaml", "dvc.yaml", "dvc.lock"])
def test_dvc_reads_the_files_of_the_repository_as_they_are_read_here(name):
    text = (ROOT / name).read_text()
    assert parse_yaml(text, name) == load_yaml(text, name)


def test_dvc_parses_in_c():
    """It reads params.yaml for each stage that it looks at, and dvc.lock twice; in Python each
    takes four times as long."""
    assert YAML(typ="safe").Parser is not Parser
