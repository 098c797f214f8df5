"""The three-way merge, on real Hydra configurations."""

import shutil
from pathlib import Path

import pytest

from pipeline.compose import compose
from pipeline.config import composition
from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.merge import composed, read_lock, with_own, write_lock
from pipeline.config.yaml_text import dump_yaml, load_yaml
from pipeline.errors import ParamsError
from testing.project import ROOT

CONF = ROOT / "conf"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONF, tmp_path / "conf"))


def run(conf: Path) -> dict:
    """compose as the stage runs it; the params it leaves."""
    root = conf.parent
    compose(conf, root / "params.yaml", root / "conf.lock.yaml")
    return load_yaml((root / "params.yaml").read_text(), "params.yaml")


def choose(conf: Path, *overrides: str) -> dict:
    """What `python -m pipeline` leaves before its first stage, and then compose."""
    values, lock = composed(conf, overrides)
    (conf.parent / "params.yaml").write_text(dump_yaml(values))
    write_lock(conf.parent / "conf.lock.yaml", with_own(lock, values))
    return run(conf)


def set_param(conf: Path, *overrides: str) -> dict:
    """What `dvc exp run -S` leaves before its first stage, and then compose."""
    values = interpolated(compose_conf(conf, overrides))
    (conf.parent / "params.yaml").write_text(dump_yaml(values))
    return run(conf)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new))


def test_without_params_everything_follows_conf(conf):
    assert run(conf) == interpolated(compose_conf(conf, []))


def test_a_second_run_changes_no_byte(conf):
    run(conf)
    before = [(conf.parent / name).read_bytes() for name in ("params.yaml", "conf.lock.yaml")]
    run(conf)
    after = [(conf.parent / name).read_bytes() for name in ("params.yaml", "conf.lock.yaml")]
    assert after == before


def test_an_edit_in_conf_reaches_params(conf):
    run(conf)
    edit(conf / "train/default.yaml", "epochs: 20", "epochs: 7")
    assert run(conf)["train"]["epochs"] == 7


def test_an_edit_of_params_stays_through_a_later_edit_in_conf(conf):
    run(conf)
    edit(conf.parent / "params.yaml", "epochs: 20", "epochs: 3")
    edit(conf / "train/default.yaml", "batch_size: 32", "batch_size: 16")
    assert run(conf)["train"]["epochs"] == 3
    edit(conf / "train/default.yaml", "epochs: 20", "epochs: 9")
    params = run(conf)
    assert (params["train"]["epochs"], params["train"]["batch_size"]) == (3, 16)


def test_a_value_set_back_to_what_conf_says_follows_conf_again(conf):
    run(conf)
    edit(conf.parent / "params.yaml", "epochs: 20", "epochs: 3")
    run(conf)
    edit(conf.parent / "params.yaml", "epochs: 3", "epochs: 20")
    run(conf)
    edit(conf / "train/default.yaml", "epochs: 20", "epochs: 9")
    assert run(conf)["train"]["epochs"] == 9


def test_what_interpolates_a_users_value_follows_it(conf):
    run(conf)
    edit(conf.parent / "params.yaml", "  lr: 0.001\n  seed", "  lr: 0.1\n  seed")
    assert run(conf)["model"]["optimizer"]["lr"] == 0.1
    edit(conf.parent / "params.yaml", "  lr: 0.1\n  seed", "  lr: 0.2\n  seed")
    assert run(conf)["model"]["optimizer"]["lr"] == 0.2


def test_a_composition_from_the_command_line_stays_and_its_group_follows_conf(conf):
    run(conf)
    chosen = interpolated(compose_conf(conf, ["model=torch_cnn", "train.lr=0.1"]))
    (conf.parent / "params.yaml").write_text(dump_yaml(chosen))
    assert run(conf) == chosen
    assert read_lock(conf.parent / "conf.lock.yaml").own == {"train.lr": 0.1}
    edit(conf / "model/torch_cnn.yaml", "channels: 16", "channels: 8")
    assert run(conf)["model"]["net"]["channels"] == 8


def test_every_way_to_the_same_values_leaves_the_same_params(conf):
    run(conf)
    composed = interpolated(compose_conf(conf, ["train.lr=0.1"]))
    (conf.parent / "params.yaml").write_text(dump_yaml(composed))
    by_command_line = run(conf)
    for name in ("params.yaml", "conf.lock.yaml"):
        (conf.parent / name).unlink()
    edit(conf / "train/default.yaml", "lr: 0.001", "lr: 0.1")
    assert run(conf) == by_command_line


def test_a_renamed_choice_alone_takes_the_whole_option(conf):
    run(conf)
    edit(conf.parent / "params.yaml", "name: torch_mlp", "name: torch_cnn")
    assert run(conf) == interpolated(compose_conf(conf, ["model=torch_cnn"]))


def test_a_new_default_choice_in_conf_is_followed(conf):
    run(conf)
    edit(conf / "config.yaml", "model: torch_mlp", "model: torch_cnn")
    assert run(conf)["model"]["net"]["_target_"] == "models.torch_cnn.TorchCNN"


def test_a_key_taken_out_by_the_user_stays_out(conf):
    run(conf)
    edit(conf / "model/torch_mlp.yaml", "  lr: ${train.lr}", "  lr: ${train.lr}\n  eps: 1.0e-7")
    assert run(conf)["model"]["optimizer"]["eps"] == 1e-7
    params = load_yaml((conf.parent / "params.yaml").read_text(), "params.yaml")
    del params["model"]["optimizer"]["eps"]
    (conf.parent / "params.yaml").write_text(dump_yaml(params))
    assert "eps" not in run(conf)["model"]["optimizer"]
    assert "eps" not in run(conf)["model"]["optimizer"]


def test_a_mapping_can_take_the_place_of_null(conf):
    run(conf)
    params = load_yaml((conf.parent / "params.yaml").read_text(), "params.yaml")
    step = {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 2}
    params["model"]["scheduler"] = step
    (conf.parent / "params.yaml").write_text(dump_yaml(params))
    assert run(conf)["model"]["scheduler"] == step
    assert run(conf)["model"]["scheduler"] == step


def test_a_comment_of_the_users_stays_while_nothing_changes(conf):
    run(conf)
    edit(conf.parent / "params.yaml", "epochs: 20", "epochs: 20  # mine")
    run(conf)
    assert "# mine" in (conf.parent / "params.yaml").read_text()


def test_a_bad_value_in_conf_leaves_params_as_they_were(conf):
    run(conf)
    before = (conf.parent / "params.yaml").read_bytes()
    edit(conf / "train/default.yaml", "epochs: 20", "epochs: many")
    with pytest.raises(ParamsError, match=r"train\.epochs: found 'many', expected an integer"):
        run(conf)
    assert (conf.parent / "params.yaml").read_bytes() == before


WIDE = "# @package _global_\ntrain:\n  epochs: 2\n  lr: 0.5\nmodel:\n  net:\n    units: 8\n"


@pytest.fixture
def wide(conf) -> Path:
    """An experiment, and an option of a group whose options carry no name."""
    (conf / "experiment/wide.yaml").write_text(WIDE)
    quick = (conf / "train/default.yaml").read_text()
    quick = quick.replace("epochs: 20", "epochs: 2").replace("lr: 0.001", "lr: 0.5")
    (conf / "train/quick.yaml").write_text(quick)
    run(conf)
    return conf


@pytest.mark.parametrize("habit", [choose, set_param])
@pytest.mark.parametrize("option", ["experiment/wide", "train/quick"])
def test_an_edit_of_any_option_reaches_params(wide, habit, option):
    override = option.replace("/", "=")
    assert habit(wide, override) == interpolated(compose_conf(wide, [override]))
    assert read_lock(wide.parent / "conf.lock.yaml").own == {}
    edit(wide / f"{option}.yaml", "epochs: 2", "epochs: 5")
    params = run(wide)
    assert params == interpolated(compose_conf(wide, [override]))
    assert params["train"]["epochs"] == 5


def test_what_the_command_line_says_is_remembered_and_not_looked_for_among_all_options(
    wide, monkeypatch
):
    """Each option that is looked at is a composition, a tenth of a second."""
    made: list[object] = []
    monkeypatch.setattr(composition, "_COMPOSED", {})
    composed_anew = composition._composed
    monkeypatch.setattr(composition, "_composed", lambda *of: made.append(of) or composed_anew(*of))
    overrides = ["experiment=wide", "train.batch_size=16"]
    params = choose(wide, *overrides)
    assert params == interpolated(compose_conf(wide, overrides))
    lock = (wide.parent / "conf.lock.yaml").read_bytes()
    assert len(made) <= 4
    assert run(wide) == params and (wide.parent / "conf.lock.yaml").read_bytes() == lock
    kept = read_lock(wide.parent / "conf.lock.yaml")
    assert (kept.options, kept.own) == (["experiment=wide"], {"train.batch_size": 16})
    made.clear()
    set_param(wide, "train.batch_size=16", "train.lr=0.25")
    assert len(made) > 20


def test_an_option_of_one_value_is_known_from_the_command_line(conf):
    (conf / "experiment/short.yaml").write_text("# @package _global_\ntrain:\n  epochs: 2\n")
    choose(conf, "experiment=short")
    edit(conf / "experiment/short.yaml", "epochs: 2", "epochs: 5")
    assert run(conf)["train"]["epochs"] == 5


def test_a_value_of_the_users_own_is_not_taken_for_an_option(conf):
    (conf / "experiment/short.yaml").write_text("# @package _global_\ntrain:\n  epochs: 2\n")
    run(conf)
    edit(conf.parent / "params.yaml", "epochs: 20", "epochs: 2")
    run(conf)
    edit(conf / "experiment/short.yaml", "epochs: 2", "epochs: 5")
    assert run(conf)["train"]["epochs"] == 2


@pytest.mark.parametrize("habit", [choose, set_param])
def test_what_is_set_beside_an_option_stays_and_the_rest_follows_it(wide, habit):
    overrides = ["experiment=wide", "train.batch_size=16"]
    assert habit(wide, *overrides) == interpolated(compose_conf(wide, overrides))
    edit(wide / "experiment/wide.yaml", "epochs: 2", "epochs: 5")
    edit(wide / "train/default.yaml", "batch_size: 32", "batch_size: 64")
    train = run(wide)["train"]
    assert (train["epochs"], train["batch_size"]) == (5, 16)


@pytest.mark.parametrize("habit", [choose, set_param])
def test_what_is_composed_without_an_option_forgets_it(wide, habit):
    choose(wide, "experiment=wide")
    assert habit(wide, "train.batch_size=16")["train"]["epochs"] == 20
    edit(wide / "experiment/wide.yaml", "epochs: 2", "epochs: 5")
    edit(wide / "train/default.yaml", "epochs: 20", "epochs: 9")
    assert run(wide)["train"]["epochs"] == 9


def test_an_option_of_one_value_that_is_set_back_is_forgotten(conf, capsys):
    (conf / "experiment/short.yaml").write_text("# @package _global_\ntrain:\n  epochs: 2\n")
    choose(conf, "experiment=short")
    assert set_param(conf, "train.batch_size=16")["train"]["epochs"] == 20
    assert read_lock(conf.parent / "conf.lock.yaml").options == []
    assert "epochs" not in capsys.readouterr().out


def test_an_experiment_that_chooses_a_model_is_followed_to_another(conf):
    text = "# @package _global_\ndefaults:\n  - override /model: torch_cnn\ntrain:\n  epochs: 2\n"
    (conf / "experiment/other.yaml").write_text(text)
    choose(conf, "experiment=other")
    edit(conf / "experiment/other.yaml", "torch_cnn", "keras_mlp")
    params = run(conf)
    assert params == interpolated(compose_conf(conf, ["experiment=other"]))
    assert params["model"]["name"] == "keras_mlp"


def test_a_group_that_conf_does_not_list_is_remembered_as_it_was_added(conf):
    (conf / "speed").mkdir()
    (conf / "speed/slow.yaml").write_text("# @package train\nlr: 0.5\nclip_norm: 2.0\n")
    assert choose(conf, "+speed=slow")["train"]["lr"] == 0.5
    edit(conf / "speed/slow.yaml", "lr: 0.5", "lr: 0.25")
    assert run(conf)["train"]["lr"] == 0.25


def test_values_that_stand_because_the_user_set_them_are_said_in_one_line(conf, capsys):
    run(conf)
    assert capsys.readouterr().out == ""
    edit(conf.parent / "params.yaml", "epochs: 20", "epochs: 3")
    edit(conf / "train/default.yaml", "epochs: 20", "epochs: 9")
    run(conf)
    said = f"params.yaml: stands because you set it: train.epochs=3 ({conf}/: 9)\n"
    assert capsys.readouterr().out.endswith(said)


def test_an_option_that_was_found_by_its_values_is_said_in_one_line(wide, capsys):
    set_param(wide, "train=quick")
    assert "holds what train=quick composes to; an edit of" in capsys.readouterr().out
    choose(wide, "experiment=wide")
    assert capsys.readouterr().out == ""


def test_a_lock_from_before_options_were_remembered_is_read(conf):
    run(conf)
    choose(conf, "model=torch_cnn", "train.lr=0.1")
    lock = load_yaml((conf.parent / "conf.lock.yaml").read_text(), "lock")
    del lock["options"]
    choices = {"data": "digits", "model": "torch_mlp", "tracking": "local"}
    (conf.parent / "conf.lock.yaml").write_text(dump_yaml({"choices": choices, **lock}))
    edit(conf / "model/torch_cnn.yaml", "channels: 16", "channels: 8")
    params = run(conf)
    assert params["model"]["net"]["channels"] == 8
    assert params["train"]["lr"] == 0.1


def test_a_name_with_a_dot_in_params_is_refused_by_where_it_stands(conf):
    run(conf)
    edit(conf.parent / "params.yaml", "    lr: 0.001", "    lr: 0.001\n    a.b: 1")
    with pytest.raises(ParamsError, match=r"model > optimizer > a\.b: found a dot in a name"):
        run(conf)


def test_a_metric_with_a_dot_is_refused_as_a_metric(conf):
    metric = "  f1.macro:\n    _target_: sklearn.metrics.f1_score\n"
    train = conf / "train/default.yaml"
    train.write_text(train.read_text() + metric)
    with pytest.raises(ParamsError, match=r"^train\.metrics: found the name 'f1\.macro', expected"):
        run(conf)
