"""What `model.keras` holds, what it takes to load, and what is refused."""

import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from testing.formats import FOLDER, SPARED
from testing.formats import form as plugin
from testing.keras_models import CUSTOM, built, given, inputs
from tests.formats.conftest import Exported

form = plugin("keras_archive")

LOAD = """
import pathlib, sys
sys.path.append(str(pathlib.Path(sys.argv[1]).parents[1]))
from form import Form
form = Form(pathlib.Path(sys.argv[1]).name)
for name in sys.argv[2:]:
    try:
        form.load(pathlib.Path(name))
        print("loaded")
    except ModuleNotFoundError as error:
        print(error)
"""


class Bare(keras.Model):
    """Written without a thought for `get_config`, as most are."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = layers.Dense(4)

    def call(self, pixels: Any) -> Any:
        return self.answer(pixels)


@keras.saving.register_keras_serializable(package="tests")
class Doubled(layers.Layer):
    def call(self, values: Any) -> Any:
        return values * 2


def rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], Any]) -> Path:
    """The archive, its members changed."""
    with zipfile.ZipFile(source / form.FILE) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    with zipfile.ZipFile(target / form.FILE, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    return target


def configured(change: Callable[[Any], Any]) -> Callable[[dict[str, bytes]], None]:
    def over(members: dict[str, bytes]) -> None:
        config = json.loads(members[form.CONFIG])
        change(config["config"]["layers"])
        members[form.CONFIG] = json.dumps(config).encode()

    return over


@pytest.mark.parametrize("name", ["dense", "custom", "functional", "strings"])
@pytest.mark.parametrize("how", ["custom_objects", "load_model"])
def test_it_comes_back_with_optimizer_and_loss_and_trains_on_as_before(
    name: str, how: str, tmp_path: Path
) -> None:
    model = built(name)
    form.export(model, inputs(name, 2), ["probabilities"], tmp_path)
    if how == "custom_objects":
        found = keras.saving.load_model(tmp_path / form.FILE, custom_objects=CUSTOM)
    else:
        found = form.load_model(tmp_path)
    assert type(found.loss) is type(model.loss)
    assert found.optimizer.get_config() == model.optimizer.get_config()
    for kept, loaded in zip(form.state(model), form.state(found), strict=True):
        assert np.array_equal(np.asarray(kept.value), np.asarray(loaded.value)), kept.path
    if name != "functional":  # dropout's seed state is not in the archive
        batch = given(inputs(name, 6)), np.array([3, 2, 1, 0, 1, 2])
        for _ in range(2):
            assert model.train_on_batch(*batch) == found.train_on_batch(*batch)
        for kept, loaded in zip(form.state(model), form.state(found), strict=True):
            assert np.array_equal(np.asarray(kept.value), np.asarray(loaded.value)), kept.path


def test_it_names_the_classes_it_needs(exported: Exported) -> None:
    module = "testing.keras_models"
    assert form.needs(exported / "dense") == [f"{module}.Dense"]
    assert form.needs(exported / "custom") == [f"{module}.Custom", f"{module}.Distance"]
    assert form.needs(exported / "functional") == [f"{module}.wavy"]
    assert form.needs(exported / "strings") == []


def test_without_the_source_it_loads_only_if_all_classes_are_keras_own(
    exported: Exported, tmp_path: Path
) -> None:
    folders = [exported / "custom", exported / "strings"]
    command = [sys.executable, "-I", "-c", SPARED + LOAD, FOLDER / "keras_archive", *folders]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    missing, loaded = done.stdout.splitlines()
    assert missing.startswith("No module named 'testing")
    assert loaded == "loaded"


def test_the_weights_lie_where_it_says(exported: Exported) -> None:
    for name in ("dense", "custom", "functional", "strings"):
        directory = exported / name
        content = (directory / form.FILE).read_bytes()
        places = form.weights(directory)
        found = [
            np.frombuffer(content[offset : offset + nbytes], dtype)
            for _, offset, nbytes, dtype in places.values()
        ]
        kept = [each.ravel() for each in exported.weights(name).values()]
        assert len(found) == len(kept)
        for array in kept:
            assert any(a.dtype == array.dtype and np.array_equal(a, array) for a in found)


def test_a_model_that_keras_cannot_read_back_is_refused_at_once(tmp_path: Path) -> None:
    model = Bare()
    model(inputs("dense", 2)["pixels"])
    with pytest.raises(ValueError, match="Bare.__init__.. got an unexpected keyword") as raised:
        form.export(model, inputs("dense", 2), ["logits"], tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_lambda_is_refused_by_name(tmp_path: Path) -> None:
    pixels = keras.Input((12,), name="pixels")
    model = keras.Model(pixels, layers.Lambda(lambda x: x * 2, name="twice")(pixels))
    with pytest.raises(ValueError, match="Lambda 'twice' is Python code"):
        form.export(model, inputs("dense", 2), ["logits"], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda layer: layer.update(class_name="Lambda"), "Lambda"),
        (lambda layer: layer.update(class_name="__lambda__"), "__lambda__"),
        (lambda layer: layer.update(module="builtins", class_name="exec"), "builtins.exec"),
        (lambda layer: layer.update(module="keras.utils", class_name="get_file"), "get_file"),
        (lambda layer: layer["config"].update(vocabulary="/etc/passwd"), "/etc/passwd"),
    ],
)
def test_configurations_that_run_or_read_something_are_refused(
    change: Callable[[Any], None], named: str, exported: Exported, tmp_path: Path
) -> None:
    rewritten(exported / "strings", tmp_path, configured(lambda layers: change(layers[1])))
    with pytest.raises(ValueError, match=named):
        form.load(tmp_path)


def test_a_compressed_member_may_be_a_bomb_and_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / form.FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(form.CONFIG, "{}")
        archive.writestr(form.METADATA, "{}")
        archive.writestr(form.WEIGHTS, bytes(1 << 24))
    assert (tmp_path / form.FILE).stat().st_size < 1 << 16
    with pytest.raises(ValueError, match="is compressed"):
        form.load(tmp_path)


@pytest.mark.parametrize("member", ["../outside", "model.pkl", "assets/../../outside"])
def test_members_that_do_not_belong_are_refused(
    member: str, exported: Exported, tmp_path: Path
) -> None:
    rewritten(exported / "dense", tmp_path, lambda members: members.update({member: b"x"}))
    with pytest.raises(ValueError, match="none of Keras'"):
        form.load(tmp_path)


@pytest.mark.parametrize("trick", ["compressed", "external", "link"])
def test_weights_that_unpack_or_lie_elsewhere_are_refused(
    trick: str, exported: Exported, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        if trick == "compressed":
            file.create_dataset("vars/0", data=np.zeros(1 << 20), compression="gzip")
        elif trick == "external":
            file.create_dataset("vars/0", (4,), "u1", external=[("/etc/hostname", 0, 4)])
        else:
            file["vars"] = h5py.ExternalLink("/etc/hostname", "/")
    content = buffer.getvalue()
    rewritten(exported / "dense", tmp_path, lambda members: members.update({form.WEIGHTS: content}))
    with pytest.raises(ValueError, match="else"):
        form.load(tmp_path)


def test_no_time_and_no_address_is_in_it(exported: Exported) -> None:
    with zipfile.ZipFile(exported / "functional" / form.FILE) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert "date_saved" not in archive.read(form.METADATA).decode()
        config = archive.read(form.CONFIG).decode()
    numbers = re.findall(r'"shared_object_id": (\d+)', config)
    assert numbers
    assert max(map(int, numbers)) < 10


def test_registered_classes_come_back_without_custom_objects(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((12,), name="pixels"), Doubled(), layers.Dense(4)])
    form.export(model, inputs("dense", 2), ["logits"], tmp_path)
    found = keras.saving.load_model(tmp_path / form.FILE)
    assert type(found.layers[0]) is Doubled
    assert form.needs(tmp_path) == [f"{__name__}.Doubled"]
