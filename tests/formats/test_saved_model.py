"""What `saved_model/` holds, refuses to hold, and refuses to load."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from testing.formats import form as plugin
from testing.keras_models import built, inputs
from testing.project import ROOT
from tests.formats.conftest import Cases, Exported

form = plugin("saved_model")


class Calls(layers.Layer):
    """Runs `function` on its input."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        super().__init__(**options)
        self.function = function

    def call(self, values: tf.Tensor) -> tf.Tensor:
        return self.function(values)


def through_python(values: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(np.copy, [values], tf.float32), (None, 12))


def printed(values: tf.Tensor) -> tf.Tensor:
    tf.print("called")
    return values


def with_a_file(values: tf.Tensor) -> tf.Tensor:
    return values + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def writing(values: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.io.write_file("/tmp/never", "x")]):
        return tf.identity(values)


def calling(function: Callable[..., Any]) -> keras.Model:
    pixels = keras.Input((12,), name="pixels")
    return keras.Model(pixels, Calls(function, name="culprit")(pixels))


def write_over(directory: Path, change: Callable[[Any], None]) -> None:
    """`change` is given the graph of the file."""
    content = form.read_graphs(directory / form.FOLDER)
    change(content.meta_graphs[0])
    (directory / form.FILE).write_bytes(content.SerializeToString())


SCREENED = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from formats.saved_model.screen import screen

screen(Path(sys.argv[2]))
print([name for name in sys.modules if name.startswith("tensorflow")])

import tensorflow
from formats.saved_model._messages import messages

loaded = tensorflow.saved_model.load(f"{sys.argv[2]}/saved_model")
print(list(loaded.signatures))
screen(Path(sys.argv[2]))
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
print(messages("saved_model").SavedModel is SavedModel)
"""


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return shutil.copytree(exported / "strings", tmp_path / "copy")


def test_it_is_screened_without_tensorflow_which_is_imported_whole_afterwards(
    exported: Exported,
) -> None:
    """Its import takes seconds, in each stage of a model that is trained on."""
    command = [sys.executable, "-c", SCREENED, str(ROOT / "pipeline"), str(exported / "strings")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "['serve', 'serving_default']", "True"], done.stderr


def test_the_weights_lie_in_it_once_under_their_keras_paths(exported: Exported) -> None:
    for name in ("dense", "custom", "functional", "strings"):
        directory, kept = exported / name, exported.weights(name)
        places = form.weights(directory)
        assert set(kept) <= set(places)
        for path, array in kept.items():
            file, offset, nbytes, dtype = places[path]
            content = (directory / file).read_bytes()[offset : offset + nbytes]
            assert np.array_equal(np.frombuffer(content, dtype).reshape(array.shape), array)
        size = sum(nbytes for _, _, nbytes, _ in places.values())
        assert (directory / form.FOLDER / form.DATA).stat().st_size < size + 2500


def test_layers_of_one_name_keep_all_their_weights(tmp_path: Path) -> None:
    class Twins(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = layers.Dense(12, name="twin")
            self.second = layers.Dense(3, name="twin")

        def call(self, pixels: tf.Tensor) -> tf.Tensor:
            return self.second(self.first(pixels))

    model, arrays = Twins(), inputs("dense", 3)
    expected = np.asarray(model(arrays["pixels"]))
    form.export(model, arrays, ["logits"], tmp_path)
    assert len(form.weights(tmp_path)) == 4
    assert np.array_equal(form.load(tmp_path)(arrays)["logits"], expected)


def test_endpoints_go_by_the_names_of_inputs_and_outputs(exported: Exported) -> None:
    model = tf.saved_model.load(str(exported / "strings" / form.FOLDER))
    assert sorted(model.signatures) == ["serve", "serving_default"]
    taken = model.signatures["serve"].structured_input_signature[1]
    shapes = {name: (spec.shape.as_list(), spec.dtype) for name, spec in taken.items()}
    assert shapes == {"city": ([None], tf.string), "age": ([None, 2], tf.float32)}
    assert list(model.signatures["serve"].structured_outputs) == ["probabilities"]


def test_the_object_itself_can_be_called_as_mlflow_does(cases: Cases, exported: Exported) -> None:
    arrays = inputs("functional", 7)
    model = tf.saved_model.load(str(exported / "functional" / form.FOLDER))
    expected = cases["functional"].eager(arrays)["probabilities"]
    np.testing.assert_allclose(model(arrays["pixels"]), expected, rtol=1e-5)


def test_outputs_come_in_the_order_given_and_text_as_text(tmp_path: Path) -> None:
    pixels = keras.Input((12,), name="pixels")
    texts = Calls(lambda values: tf.strings.as_string(tf.round(values)))(pixels)
    form.export(
        keras.Model(pixels, [texts, layers.Flatten()(pixels)]),
        inputs("dense", 3),
        ["text", "again"],
        tmp_path,
    )
    found = form.load(tmp_path)({"pixels": np.full((2, 12), 3, np.float32)})
    assert list(found) == ["text", "again"]
    assert found["text"].dtype.kind == "U"
    assert found["text"][0, 0] == "3.000000"


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (through_python, "PyFunc"),
        (printed, "PrintV2"),
        (with_a_file, "ReadFile"),
        (writing, "WriteFile"),
    ],
)
def test_a_layer_that_leaves_the_graph_is_named_with_its_operator(
    function: Callable[..., Any], operator: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"{operator} of .*") as raised:
        form.export(calling(function), inputs("dense", 3), ["logits"], tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_convolution_that_keras_compiles_is_told_with_the_way_out(tmp_path: Path) -> None:
    image = keras.Input((6, 6, 4), name="pixels")
    model = keras.Model(image, layers.Conv2D(4, 3, groups=2)(image))
    expected = "_XlaMustCompile of kind b .its own export: leave jit_compile out; .*DepthwiseConv2D"
    with pytest.raises(ValueError, match=expected) as raised:
        form.export(model, {"pixels": np.zeros((3, 6, 6, 4), np.float32)}, ["logits"], tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_vocabulary_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Oslo\nRoma\n")
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            str(tmp_path / "words.txt"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        -1,
    )
    layer = Calls(lambda city: tf.cast(table.lookup(city), tf.float32))
    layer.table = table
    city = keras.Input((), dtype="string", name="city")
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="give vocabularies as lists"):
        form.export(
            keras.Model(city, layer(city)),
            {"city": np.array(["Oslo"])},
            ["index"],
            tmp_path / "out",
        )


@pytest.mark.parametrize("operator", ["PyFunc", "WriteFile", "ReadFile", "PrintV2", "RestoreV2"])
@pytest.mark.parametrize("place", ["endpoint", "initializer", "graph"])
def test_an_operator_that_reaches_out_is_refused_wherever_it_stands(
    operator: str, place: str, copy: Path
) -> None:
    def poison(graph: Any) -> None:
        functions = {each.signature.name: each for each in graph.graph_def.library.function}
        stem = "__inference_serve" if place == "endpoint" else "__inference__initializer"
        nodes = next(each for name, each in functions.items() if name.startswith(stem)).node_def
        (graph.graph_def.node if place == "graph" else nodes).add(name="harmless", op=operator)

    write_over(copy, poison)
    with pytest.raises(ValueError, match=f"operator {operator} of harmless"):
        form.load(copy)


def test_the_saving_function_must_not_be_reached_by_a_model(copy: Path) -> None:
    def poison(graph: Any) -> None:
        names = [each.signature.name for each in graph.graph_def.library.function]
        serve = next(
            each
            for each in graph.graph_def.library.function
            if each.signature.name.startswith("__inference_serve")
        )
        node = serve.node_def.add(name="harmless", op="StatefulPartitionedCall")
        node.attr["f"].func.name = next(name for name in names if "traced_save" in name)

    write_over(copy, poison)
    with pytest.raises(ValueError, match="harmless calls '__inference__traced_save_0'"):
        form.load(copy)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda graph: graph.asset_file_def.add(filename="../../etc/passwd"), "passwd"),
        (lambda graph: graph.collection_def["legacy"].node_list.value.append("x"), "legacy"),
        (lambda graph: setattr(graph.object_graph_def.nodes[0], "registered_name", "X.y"), "X.y"),
    ],
)
def test_objects_and_files_beyond_the_graph_are_refused(
    change: Callable[[Any], None], named: str, copy: Path
) -> None:
    if named == "X.y":
        write_over(copy, lambda graph: graph.object_graph_def.nodes[0].ClearField("user_object"))
    write_over(copy, change)
    with pytest.raises(ValueError, match=named):
        form.load(copy)


def test_a_file_that_does_not_belong_is_refused(copy: Path) -> None:
    (copy / form.FOLDER / "saved_model.pbtxt").write_text("")
    with pytest.raises(ValueError, match="saved_model.pbtxt"):
        form.load(copy)


def test_a_cut_off_file_is_refused_in_one_line(copy: Path) -> None:
    whole = (copy / form.FILE).read_bytes()
    (copy / form.FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="export it again"):
        form.load(copy)


def test_a_flipped_bit_in_a_weight_is_refused(copy: Path) -> None:
    file, offset, _, _ = max(form.weights(copy).values(), key=lambda place: place[2])
    content = bytearray((copy / file).read_bytes())
    content[offset] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        form.load(copy)


def test_bytes_hang_on_weights_tables_and_operators(tmp_path: Path) -> None:
    def files(name: str, change: Callable[[keras.Model], object]) -> dict[str, bytes]:
        model = built("strings")
        change(model)
        (tmp_path / name).mkdir()
        form.export(model, inputs("strings", 2), ["probabilities"], tmp_path / name)
        found = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        return {path.name: path.read_bytes() for path in found}

    def nudge(model: keras.Model) -> None:
        model.weights[0].assign(model.weights[0] + 1e-3)

    def reorder(model: keras.Model) -> None:
        model.get_layer("city_lookup").set_vocabulary(["Roma", "Oslo", "Lima", "Łódź"])

    def linear(model: keras.Model) -> None:
        model.layers[-1].activation = keras.activations.linear

    same, data, graph = files("first", id), "variables.data-00000-of-00001", "saved_model.pb"
    assert files("second", id) == same
    nudged, reordered, other = files("a", nudge), files("b", reorder), files("c", linear)
    assert nudged[data] != same[data]
    assert nudged[graph] == same[graph]
    assert reordered[graph] != same[graph]
    assert other[graph] != same[graph]


def test_names_in_it_are_counted_from_0_and_it_needs_no_fingerprint(exported: Exported) -> None:
    content = form.read_graphs(exported / "strings" / form.FOLDER)
    names = [each.signature.name for each in content.meta_graphs[0].graph_def.library.function]
    assert names == sorted(names)
    assert all(int(name.rpartition("_")[2]) < len(names) for name in names)
    signature = json.loads((exported / "strings" / form.FOLDER / form.SIGNATURE).read_text())
    assert signature == {"inputs": ["city", "age"], "outputs": ["probabilities"]}
    assert sorted(p.name for p in (exported / "strings" / form.FOLDER).iterdir()) == [
        "assets.extra",
        "saved_model.pb",
        "variables",
    ]


def test_an_output_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="returned 1 tensors, expected one each"):
        form.export(built("dense"), inputs("dense", 3), ["logits", "other"], tmp_path)
