"""SavedModels of Keras and of plain TensorFlow, as they save them."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import formats, frameworks
from pipeline.foreign import saved_model
from tests.foreign.programs import adopted, answers, contents, opened, refusal

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs as people save them, and one that is of TensorFlow 1."""
    frameworks.framework("keras")
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("made")
    layers = [keras.Input((8,), name="pixels"), keras.layers.Dense(4), keras.layers.Dropout(0.5)]
    layers += [keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    keras.Sequential(layers).export(folder / "keras", verbose=False)

    class Words(tf.Module):
        """A table, and several signatures."""

        def __init__(self) -> None:
            content = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2]))
            self.table = tf.lookup.StaticHashTable(content, 0)
            self.weights = tf.Variable(tf.random.stateless_normal([3, 2], [1, 2]))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "word")])
        def serve(self, word: Any) -> Any:
            return {"vector": tf.gather(self.weights, self.table.lookup(word)), "word": word}

    class Doing(tf.Module):
        """Takes two inputs, and can do what is refused."""

        def __init__(self, does: Callable[[Any], Any] = lambda x: x) -> None:
            self.does, self.scale = does, tf.Variable([2.0])

        @tf.function(
            input_signature=[tf.TensorSpec([None, 2], name="a"), tf.TensorSpec([None, 2], name="b")]
        )
        def serve(self, a: Any, b: Any) -> Any:
            return self.does(a) * self.scale + b

    def written(x: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file("/tmp/programs-written", "x")]):
            return tf.identity(x)

    def python(x: Any) -> Any:
        return tf.py_function(lambda each: each, [x], tf.float32)

    words, plain = Words(), Doing()
    both = {"serving_default": words.serve, "other": words.serve}
    tf.saved_model.save(words, folder / "words", both)
    tf.saved_model.save(plain, folder / "plain", {"serving_default": plain.serve})
    tf.saved_model.save(plain, folder / "named", {"predict": plain.serve})
    tf.saved_model.save(plain, folder / "two", {"predict": plain.serve, "score": plain.serve})
    tf.saved_model.save(tf.Module(), folder / "none")
    for name, does in {"writes": written, "python": python}.items():
        other = Doing(does)
        tf.saved_model.save(other, folder / name, {"serving_default": other.serve})
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 8])
        builder = tf.compat.v1.saved_model.Builder(str(folder / "first"))
        define = tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": x * 2})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": define})
        builder.save()
    return folder


CASES: dict[str, tuple[dict[str, np.ndarray], dict[str, str]]] = {
    "keras": ({"pixels": RNG.standard_normal((5, 8)).astype("float32")}, {"y": "output_0"}),
    "words": ({"word": np.array(["a", "b", "ä"])}, {"of": "vector", "same": "word"}),
    "plain": (
        {n: RNG.standard_normal((4, 2)).astype("float32") for n in ("a", "b")},
        {"y": "output_0"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_its_answers_are_the_programs_bit_for_bit(made: Path, tmp_path: Path, name: str) -> None:
    import tensorflow as tf

    given, outputs = CASES[name]
    found = answers(made / name, tmp_path / "form", given, outputs)
    loaded = tf.saved_model.load(made / name)
    tensors = {key: tf.constant(array) for key, array in given.items()}
    expected = loaded.signatures["serving_default"](**tensors)
    for own, theirs in outputs.items():
        wanted = expected[theirs].numpy()
        if wanted.dtype.hasobject:
            wanted = np.char.decode(wanted.astype("S"), "utf-8")
        assert found[own].tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", ["keras", "words"])
def test_the_same_program_gives_the_same_bytes(made: Path, tmp_path: Path, name: str) -> None:
    given, outputs = CASES[name]
    for each in ("one", "other"):
        adopted(made / name, tmp_path / each, {key: key for key in given}, outputs)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_its_weights_can_be_others_for_once(made: Path, tmp_path: Path) -> None:
    """The file has checksums, and stays as it is."""
    form = adopted(made / "keras", tmp_path / "form", {"x": "pixels"}, {"y": "output_0"})
    places = formats.loader(form).weights(tmp_path / "form")
    before = contents(tmp_path / "form")
    zeros = {n: np.zeros(size // 4, "float32") for n, (_, _, size, _) in places.items()}
    predict = formats.adopter(form).load_with(tmp_path / "form", zeros)
    assert not predict({"x": np.ones((2, 8), "float32")})["y"].any()
    assert contents(tmp_path / "form") == before


def test_it_says_what_is_known_and_which_signature_serves(made: Path) -> None:
    import tensorflow as tf

    read = opened(made / "words")
    assert (read.framework, read.model["program"]) == ("keras", "saved_model")
    assert read.versions == {"tensorflow": tf.__version__}
    assert read.program.inputs["word"].dtype == "string"
    assert read.notes == ("signatures left out: other",)
    assert opened(made / "named").notes == ("served by its only signature, predict",)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("two", "has no signature serving_default; found predict, score"),
        ("none", "has no signature serving_default; found none"),
        ("first", "is of TensorFlow 1"),
        ("writes", "operator WriteFile"),
        ("python", "operator EagerPyFunc"),
    ],
)
def test_what_cannot_be_taken_says_so_in_one_line(
    made: Path, tmp_path: Path, name: str, expected: str
) -> None:
    assert expected in refusal(made / name, tmp_path / "form")
    assert not Path("/tmp/programs-written").exists()


def cut(name: str, share: float) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[: int(len(content) * share)])

    return spoil


def links(path: Path) -> None:
    shutil.rmtree(path / "variables")
    (path / "variables").symlink_to(path)


def as_text(path: Path) -> None:
    (path / "saved_model.pb").rename(path / "saved_model.pbtxt")


DATA, INDEX = "variables/variables.data-00000-of-00001", "variables/variables.index"
SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut off in its graph": (cut("saved_model.pb", 0.5), "damaged or cut off"),
    "cut off in its weights": (cut(DATA, 0.5), "is not whole in the variables' file"),
    "cut off in its index": (cut(INDEX, 0.5), "not a table of variables"),
    "without weights": (lambda path: (path / DATA).unlink(), "holds no plain file variables"),
    "an empty graph": (cut("saved_model.pb", 0), "holds 0 graphs"),
    "a loop of links": (links, "holds no plain file variables"),
    "as text": (as_text, "holds no saved_model.pb"),
    "an empty folder": (
        lambda path: (shutil.rmtree(path), path.mkdir()),
        "no checkpoint that is known",
    ),
}


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_spoiled_is_refused_in_one_line(made: Path, tmp_path: Path, how: str) -> None:
    spoil, expected = SPOILED[how]
    path = Path(shutil.copytree(made / "plain", tmp_path / "plain"))
    spoil(path)
    assert expected in refusal(path, tmp_path / "form")


def test_a_class_is_never_looked_up(made: Path, tmp_path: Path) -> None:
    """As the SavedModels of Keras 2 name them."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = Path(shutil.copytree(made / "keras", tmp_path / "keras"))
    content = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    for item in content.meta_graphs[0].object_graph_def.nodes:
        if item.user_object.identifier == "_generic_user_object":
            item.user_object.identifier = "_tf_keras_network"
            item.user_object.metadata = '{"class_name": "Sequential"}'
    (path / "saved_model.pb").write_bytes(content.SerializeToString())
    given, outputs = CASES["keras"]
    ours, theirs = (
        answers(each, tmp_path / f"form{n}", given, outputs)
        for n, each in enumerate((path, made / "keras"))
    )
    assert ours["y"].tobytes() == theirs["y"].tobytes()


def test_other_folders_are_none(made: Path, tmp_path: Path) -> None:
    assert not saved_model.recognizes(made)
    assert not saved_model.recognizes(made / "plain/saved_model.pb")
    with contextlib.suppress(FileNotFoundError):
        assert not saved_model.recognizes(tmp_path / "nothing")
