"""The three-way merge, on real Hydra configurations."""

import shutil
from pathlib import Path

import pytest

from pipeline.compose import compose
from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.merge import read_lock
from pipeline.config.reading import dump_yaml, load_yaml
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
