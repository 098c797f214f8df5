"""The merge keeps what the user set, whatever conf/ says."""

import functools

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.config.composition import interpolated
from pipeline.config.merge import merge
from pipeline.config.reading import flatten
from testing.project import ROOT

CONF = ROOT / "conf"


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "train.epochs": st.integers(1, 50),
        "train.lr": st.sampled_from([0.001, 0.01, 0.1]),
        "data.targets.label.classes": st.sampled_from([10, 12]),
        "model.optimizer.lr": st.sampled_from([0.001, 0.1, 0.5]),
    },
)


@settings(max_examples=10, phases=[Phase.explicit, Phase.generate])
@given(first=VALUES, then=VALUES)
def test_params_hold_every_value_the_user_changed(first, then):
    """Whatever was changed before it, and whatever else is changed with it."""
    _, last = merge(CONF, None, None)
    for values in (first, then):
        edited = interpolated(last.conf, last.own, last.removed)
        before = flatten(edited)
        for path, value in values.items():
            *parents, leaf = path.split(".")
            functools.reduce(dict.__getitem__, parents, edited)[leaf] = value
        merged, last = merge(CONF, edited, last)
        changed = {path: value for path, value in values.items() if before[path] != value}
        assert changed.items() <= flatten(merged).items()


def test_a_parents_model_stays_whatever_conf_says():
    params, last = merge(CONF, None, None)
    params["train"]["parent"] = "0" * 64
    params["model"] = {"name": "torch_cnn", "formats": ["onnx"], "of": "the parent"}
    for _ in range(2):
        merged, last = merge(CONF, params, last)
        assert merged["model"] == params["model"]
