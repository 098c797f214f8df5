"""Attempts on `model.keras`: none gets as far as Keras."""

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testing.formats import form as plugin
from tests.formats.conftest import Exported
from tests.hostile.conftest import FORGERIES, copied, edited, edited_json, refused

form = plugin("keras_archive")
Attack = Callable[[Path, Path], None]


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return copied(exported / "strings", tmp_path / "copy")


def layer(**change: Any) -> Attack:
    """Of the first layer behind the inputs; MARK in a text is the file."""

    def attack(directory: Path, mark: Path) -> None:
        told = json.loads(json.dumps(change).replace("MARK", str(mark)))

        def edit(config: dict) -> None:
            found = next(
                each for each in config["config"]["layers"] if each["class_name"] == "Dense"
            )
            inner = told.pop("inner", {})
            found["config"] |= inner
            found |= told

        edited_json(directory / form.FILE, form.CONFIG, edit)

    return attack


def dumped(function: Callable[..., Any]) -> dict:
    code, defaults, closure = keras.src.utils.python_utils.func_dump(function)
    value = {"code": code, "defaults": defaults, "closure": closure}
    return {"class_name": "__lambda__", "config": {"value": value}}


def lambda_layer(directory: Path, mark: Path) -> None:
    """What Keras itself writes for a Lambda whose function makes the file as it is called."""
    path = str(mark)
    given = keras.Input((3,), name="pixels")
    made = keras.layers.Lambda(eval(f"lambda x: (open({path!r}, 'w').close(), x)[1]"))
    keras.Model(given, made(given)).save(directory / "lambda.keras")
    edited(directory / "lambda.keras", lambda found: about(found, directory))
    (directory / "lambda.keras").replace(directory / form.FILE)
    mark.unlink()  # its own saving ran it


def about(found: dict[str, bytes], directory: Path) -> None:
    found[form.METADATA] = json.dumps(
        {
            "keras_version": keras.__version__,
            "signature": {"inputs": ["pixels"], "outputs": ["answer"]},
            "custom_objects": {},
        }
    ).encode()


def named(module: str, name: str) -> Attack:
    """Somebody's class that the file names to be imported."""

    def attack(directory: Path, _: Path) -> None:
        edited_json(
            directory / form.FILE,
            form.METADATA,
            lambda said: said.update(custom_objects={"planted": [module, name]}),
        )

    return attack


def beside(directory: Path, mark: Path) -> None:
    """A module in the model's own directory, where Python looks when it is run from there."""
    (directory / "planted_beside.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    named("planted_beside", "made")(directory, mark)


def function(name: str, module: str = "builtins") -> dict:
    return {"class_name": "function", "module": module, "config": name, "registered_name": name}


def legacy(kind: str) -> Attack:
    """Without a module Keras looks the name up among all that its own module of layers has."""

    def attack(directory: Path, _: Path) -> None:
        def edit(config: dict) -> None:
            entry = next(each for each in config["config"]["layers"] if "inbound_nodes" in each)
            entry |= {"class_name": kind}
            del entry["module"]

        edited_json(directory / form.FILE, form.CONFIG, edit)

    return attack


def compiled(**change: Any) -> Attack:
    return lambda d, _: edited_json(
        d / form.FILE, form.CONFIG, lambda config: config["compile_config"].update(change)
    )


def weights(make: Callable[[h5py.File], Any]) -> Attack:
    def attack(directory: Path, _: Path) -> None:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            make(file)
        content = buffer.getvalue()
        edited(directory / form.FILE, lambda found: found.update({form.WEIGHTS: content}))

    return attack


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    file.create_virtual_dataset("vars/0", layout)


def circle(file: h5py.File) -> None:
    group = file.create_group("a")
    group["again"] = group


def unstored(file: h5py.File) -> None:
    h5py.h5d.create(file.id, b"huge", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((1 << 40,)))


def many_bytes(member: str) -> Attack:
    return lambda d, _: edited(
        d / form.FILE, lambda found: found.update({member: b" " * ((1 << 25) + 1)})
    )


def deep(directory: Path, _: Path) -> None:
    content = b'{"a":' * 5000 + b"1" + b"}" * 5000
    edited(directory / form.FILE, lambda found: found.update({form.CONFIG: content}))


REFUSED: dict[str, Attack] = {
    "a Lambda": lambda_layer,
    "a lambda": layer(inner={"activation": dumped(lambda x: x)}),
    "a layer for SavedModels": layer(class_name="TFSMLayer", config={"filepath": "MARK"}),
    "a pickled torch module": layer(class_name="TorchModuleWrapper", config={"module": "gASV"}),
    "a built-in": layer(module="builtins", class_name="exec", config={}),
    "a built-in as a function": layer(inner={"activation": function("exec", "os")}),
    "a function of Python": layer(inner={"activation": function("system", "os")}),
    "a path for a function": layer(inner={"activation": function("utils.get_file")}),
    "get_file": layer(inner={"activation": function("get_file", "keras.utils")}),
    "get_file as a class": layer(
        module="keras.utils", class_name="get_file", config={"fname": "MARK", "origin": "file://x"}
    ),
    "load_model as a function": layer(inner={"activation": function("load_model", "keras.models")}),
    "load_model as a class": layer(module="keras.models", class_name="load_model"),
    "the unsafe flag as a function": layer(
        inner={"activation": function("enable_unsafe_deserialization", "keras.config")}
    ),
    "the unsafe flag as a class": layer(
        module="keras.config", class_name="enable_unsafe_deserialization", config={}
    ),
    "a module that Keras imports": layer(module="keras_hub.planted", class_name="Layer"),
    "another module that Keras imports": layer(module="keras_nlp", class_name="Layer"),
    "a module of Keras' that no model is of": layer(
        module="keras.src.utils.torch_utils", class_name="TorchModuleWrapper"
    ),
    "a class that a newer Keras may have": layer(module="keras.layers", class_name="RunsCode"),
    "a function that a newer Keras may have": layer(
        inner={"activation": function("run_code", "keras.ops")}
    ),
    "a class under another's name": layer(registered_name="planted>Layer"),
    "a class of nobody's": layer(module="planted", class_name="Layer", registered_name="x>y"),
    "a function under a name": layer(inner={"activation": function("planted>act")}),
    "a class that calls what it is given": layer(
        module="keras.src.ops.core", class_name="Map", config={"function": function("relu")}
    ),
    "a function that calls what it is given": layer(
        inner={"activation": function("vectorize", "keras.ops")}
    ),
    "a function that reads a file": layer(
        inner={"activation": function("load_img", "keras.utils")}
    ),
    "a name of version 2's": legacy("Dense"),
    "a Lambda of version 2's": legacy("Lambda"),
    "a function of version 2's": legacy("deserialize"),
    "a class that is no text": layer(class_name=["Dense"]),
    "an entry with more than Keras writes": layer(spec_name="X"),
    "a Lambda as the loss": compiled(loss=dumped(lambda y, p: p)),
    "a built-in as the loss": compiled(loss=function("exec", "os")),
    "an optimizer of a stranger's module": compiled(
        optimizer={"module": "planted", "class_name": "SGD", "config": {}}
    ),
    "a file for a vocabulary, deep": layer(inner={"bias_initializer": [{"vocabulary": "/etc/x"}]}),
    "a file for weights of words": layer(inner={"idf_weights": "/etc/passwd"}),
    "a lambda within the build": layer(build_config={"input_shape": [dumped(lambda x: x)]}),
    "a type specification": layer(class_name="__typespec__", spec_name="X", config=[]),
    "a file for a vocabulary": layer(inner={"vocabulary": "/etc/passwd"}),
    "a huge layer": layer(inner={"units": 1 << 40}),
    "a huge shape": layer(build_config={"input_shape": [None, 1 << 50]}),
    "HDF5 that is elsewhere": weights(
        lambda f: f.create_dataset("vars/0", (4,), "u1", external=[("/etc/hostname", 0, 4)])
    ),
    "an external link": weights(
        lambda f: f.__setitem__("vars", h5py.ExternalLink("/etc/hostname", "/"))
    ),
    "a soft link": weights(lambda f: f.__setitem__("vars", h5py.SoftLink("/elsewhere"))),
    "a virtual data set": weights(virtual),
    "a circle": weights(circle),
    "compressed weights": weights(
        lambda f: f.create_dataset("vars/0", data=np.zeros(1 << 20), compression="gzip")
    ),
    "weights that are not stored": weights(unstored),
    "objects for weights": weights(
        lambda f: f.create_dataset("vars/0", data=["x"], dtype=h5py.string_dtype())
    ),
    "weights that are none": lambda d, _: edited(
        d / form.FILE, lambda found: found.update({form.WEIGHTS: b"\x89HDF\r\n\x1a\n" + bytes(99)})
    ),
    "JSON that fills the memory": many_bytes(form.CONFIG),
    "JSON that is deep": deep,
    "a list for a configuration": lambda d, _: edited(
        d / form.FILE, lambda found: found.update({form.METADATA: b"[]"})
    ),
}


@pytest.mark.parametrize("attack", REFUSED)
@pytest.mark.parametrize("unsafe", [False, True])
def test_it_is_refused_before_it_acts(
    attack: str, unsafe: bool, copy: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the process has told Keras to be unsafe."""
    REFUSED[attack](copy, mark)
    if unsafe:
        keras.config.enable_unsafe_deserialization()
    try:
        refused(form, copy, mark, r"model\.keras")
    finally:
        keras.src.backend.common.global_state.set_global_attribute("safe_mode_saving", None)


def test_keras_told_to_be_unsafe_would_have_run_the_lambda(copy: Path, mark: Path) -> None:
    lambda_layer(copy, mark)
    keras.saving.load_model(copy / form.FILE, safe_mode=False)(np.ones((1, 3), np.float32))
    assert mark.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("shutil", "rmtree"), ("subprocess", "Popen"), ("numpy", "load")],
)
def test_a_class_that_is_none_for_keras_is_not_taken(
    module: str, name: str, copy: Path, mark: Path
) -> None:
    named(module, name)(copy, mark)
    refused(form, copy, mark, r"model\.keras")


def test_a_module_beside_the_file_is_not_imported(
    copy: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside(copy, mark)
    monkeypatch.chdir(copy)
    monkeypatch.syspath_prepend("")
    refused(form, copy, mark, r"model\.keras")
    with contextlib.suppress(AttributeError):
        importlib_import("planted_beside")
    assert mark.exists()  # had it been imported
    sys.modules.pop("planted_beside", None)


def importlib_import(name: str) -> Any:
    import importlib

    return importlib.import_module(name)


def test_classes_of_ones_own_load_but_do_not_pass_the_screen(exported: Exported) -> None:
    with pytest.raises(ValueError, match="expected Keras' own classes alone"):
        form.screen(exported / "custom")
    form.screen(exported / "strings")


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_archive_is_refused(name: str, copy: Path, mark: Path) -> None:
    FORGERIES[name](copy / form.FILE)
    refused(form, copy, mark, r"model\.keras")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_changed_bit_is_let_in_or_refused(
    place: float, bit: int, exported: Exported, tmp_path: Path
) -> None:
    whole = bytearray((exported / "strings" / form.FILE).read_bytes())
    whole[int(place * len(whole))] ^= 1 << bit
    (tmp_path / form.FILE).write_bytes(whole)
    with contextlib.suppress(ValueError):
        form.screen(tmp_path)
