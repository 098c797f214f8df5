"""conf/ composes, or says in one line what is wrong."""

import re
import shutil
from pathlib import Path

import pytest

from pipeline.config import composition as compositions
from pipeline.config.composition import compose_conf, composition, interpolated
from pipeline.errors import ParamsError
from testing.project import ROOT


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.inputs={a: {source: a}}", "no such key; add it with a plus sign: +data.inputs="),
        ("train.epohcs=3", "train.epohcs: no such key; did you mean epochs? allowed: "),
        ("train.averaging.kind=ema", "set it as a whole: 'train.averaging={kind: …}'"),
        ("model=torch_mpl", "model=torch_mpl: no such option; did you mean torch_mlp? allowed: "),
        ("modle=torch_mlp", "modle"),
        ("train.lr=[", "train.lr=[: no viable alternative"),
        ("train.lr=${oc.env:HOME}", "expected a value that is the same everywhere"),
        ("data.file=???", "data.file: mandatory value not given"),
        ("train.lr=${train.nothing}", "nothing"),
    ],
)
def test_what_cannot_be_composed_is_refused_in_one_line(conf, override, said):
    with pytest.raises(ParamsError) as refusal:
        interpolated(compose_conf(conf, [override]))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def copy(conf: Path, option: str, old: str, new: str) -> None:
    """A copy of conf/model/torch_mlp.yaml, as somebody begins with a model of their own."""
    text = (conf / "model/torch_mlp.yaml").read_text()
    assert old in text
    (conf / f"model/{option}.yaml").write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("option", "name"), [("copied", "torch_mlp"), ("my_net", "MyNet"), ("copied", "'1'")]
)
@pytest.mark.parametrize("overrides", [[], ["model={option}"]])
def test_a_name_that_is_not_its_files_is_refused(conf, option, name, overrides):
    """Also where it is not chosen: `dvc exp run -S` leaves the name alone to tell the option."""
    copy(conf, option, "name: torch_mlp", f"name: {name}")
    with pytest.raises(ParamsError) as refusal:
        compose_conf(conf, [each.format(option=option) for each in overrides])
    plain = name.strip("'")
    said = f"{option}.yaml: name: found {plain!r}, expected {option!r}: an option's name is its"
    assert said in str(refusal.value)


def test_of_several_wrong_names_that_of_the_chosen_option_is_told(conf):
    copy(conf, "copied", "name: torch_mlp", "name: torch_mlp")
    copy(conf, "my_net", "name: torch_mlp", "name: MyNet")
    with pytest.raises(ParamsError, match=r"my_net\.yaml: name: found 'MyNet', expected 'my_net'"):
        compose_conf(conf, ["model=my_net"])


def test_a_name_on_the_command_line_is_no_option(conf):
    with pytest.raises(ParamsError, match=r"^model\.name: found 'mine', expected 'torch_mlp': an"):
        compose_conf(conf, ["model.name=mine"])


@pytest.mark.parametrize("name", ["nan", "null", "1", "yes", "true", "1e3", "inf"])
def test_an_option_may_have_a_name_that_is_no_text_elsewhere(conf, name):
    copy(conf, name, "name: torch_mlp", f'name: "{name}"')
    assert compose_conf(conf, [f"model={name}"])["model"]["name"] == name


@pytest.mark.parametrize("name", ["nan", "null", "1", "2.5", "true"])
def test_an_option_that_is_missing_is_said_whatever_its_name(conf, name):
    with pytest.raises(ParamsError, match=rf"^model={name}: no such option; .*torch_mlp"):
        compose_conf(conf, [f"model={name}"])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *(("NO", "false"), ("no", "false"), ("Off", "false"), ("on", "true"), ("YES", "true")),
        *(("012", "10"), ("-017", "-15"), ("1:30", "90"), ("190:20:30", "685230")),
        ("1:30.5", "90.5"),
    ],
)
def test_a_word_that_yaml_reads_as_something_else_is_refused(conf, written, read):
    copy(conf, "mine", "name: torch_mlp", f"name: mine\n# a comment\nother: [x, {written}]")
    with pytest.raises(ParamsError) as refusal:
        compose_conf(conf, ["model=mine"])
    said = f'mine.yaml: line 4: YAML reads {written} as {read}; quote it: "{written}"'
    assert said in str(refusal.value)
    assert compose_conf(conf, [])["model"]["name"] == "torch_mlp"


@pytest.mark.parametrize(("key", "read"), [("NO", "false"), ("null", "null"), ("1.5", "1.5")])
def test_a_key_that_is_no_text_is_refused(conf, key, read):
    copy(conf, "mine", "name: torch_mlp", f"name: mine\nother: {{{key}: 1}}")
    with pytest.raises(ParamsError, match=f'YAML reads {key} as {read}; quote it: "{key}"'):
        compose_conf(conf, ["model=mine"])


def test_numbers_texts_and_labels_are_taken_as_they_are(conf):
    words = "{0: 1.0, 1: 2.0, a: 1e3, b: 0.5, c: y, d: n, e: 2026-01-01, f: 'NO', g: 08, h: 0}"
    copy(conf, "mine", "name: torch_mlp", f"name: mine\nother: {words}")
    other = compose_conf(conf, ["model=mine"])["model"]["other"]
    assert other == {
        0: 1.0,
        1: 2.0,
        "a": 1e3,
        "b": 0.5,
        "c": "y",
        "d": "n",
        "e": "2026-01-01",
        "f": "NO",
        "g": "08",
        "h": 0,
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1\n", r"mine\.yaml: line 2: no YAML: "),
        ("name: größe\n".encode("latin-1"), r"mine\.yaml: byte 9 is not UTF-8; save the file as"),
        (b"a: \x00\n", r"mine\.yaml: no YAML: "),
    ],
)
def test_a_file_that_is_no_yaml_is_named(conf, content, said):
    (conf / "model/mine.yaml").write_bytes(content)
    with pytest.raises(ParamsError, match=said) as refusal:
        compose_conf(conf, ["model=mine"])
    assert "\n" not in str(refusal.value)


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The overrides of each composition that Hydra makes, with none remembered."""
    asked: list[list[str]] = []
    real = compositions._composed

    def made(conf, overrides):
        asked.append(list(overrides))
        return real(conf, overrides)

    monkeypatch.setattr(compositions, "_COMPOSED", {})
    monkeypatch.setattr(compositions, "_composed", made)
    return asked


def test_what_the_same_files_give_is_composed_once_and_is_each_callers_own(conf, composed):
    first = composition(conf, ["model=torch_cnn"])
    first.values["train"]["epochs"] = "changed"
    first.options.clear()
    again = composition(conf, ["model=torch_cnn"])
    assert again.values["train"]["epochs"] != "changed" and again.options["model"] == "torch_cnn"
    assert composition(conf, []).options["model"] == "torch_mlp"
    assert composed == [["model=torch_cnn"], []]


def test_a_changed_a_new_and_a_removed_file_are_composed_anew(conf, composed):
    before = composition(conf, [])
    file = conf / "train/default.yaml"
    text = file.read_text()
    file.write_text(re.sub(r"^epochs: \d+", "epochs: 77", text, flags=re.MULTILINE))
    assert composition(conf, []).values["train"]["epochs"] == 77
    file.write_text(text)
    (conf / "train/quick.yaml").write_text("defaults: [default]\nepochs: 1\n")
    assert composition(conf, ["train=quick"]).values["train"]["epochs"] == 1
    (conf / "train/quick.yaml").unlink()
    with pytest.raises(ParamsError, match="no such option"):
        composition(conf, ["train=quick"])
    assert composition(conf, []) == before


def test_a_composition_of_files_beside_conf_is_never_remembered(conf, composed, tmp_path):
    file = tmp_path / "shared/train/shared.yaml"
    file.parent.mkdir(parents=True)
    overrides = ["train=shared", f"hydra.searchpath=[file://{tmp_path / 'shared'}]"]
    for epochs in (3, 4):
        file.write_text(f"defaults: [default]\nepochs: {epochs}\n")
        assert composition(conf, overrides).values["train"]["epochs"] == epochs
