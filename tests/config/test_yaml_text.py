"""YAML is read for the values that DVC reads, and what is written is read as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.yaml_text import dump_yaml, load_yaml
from pipeline.errors import ParamsError


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
