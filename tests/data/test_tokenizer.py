"""Texts become rows of ids: by a tokenizer that is given, or learnt from the training rows."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from pipeline.config.params import PrepareParams
from pipeline.config.reading import read
from pipeline.data import arrays
from pipeline.errors import DataError, ParamsError
from pipeline.prepare import prepare
from testing.prepared import NO_SPLIT, refused

WORDS = ("one", "two", "three", "four", "five", "fünf")
TEXTS = [" ".join(WORDS[(n + k) % 6] for k in range(1 + n % 5)) for n in range(30)]
TRAIN = {"train": {"model": "bpe", "size": 300}}


def params(tokenizer: Any = TRAIN, most: int = 60, **changes: Any) -> PrepareParams:
    entry = {"source": "text", "shape": ["length"], "dtype": "int64", "tokenizer": tokenizer}
    mask = {"source": "mask of length", "shape": ["length"], "dtype": "float32"}
    values: dict[str, Any] = {"name": "texts", "file": "t.csv", "id": None, "ignore": []}
    values |= {"rows": None, "inputs": {"tokens": entry | changes, "mask": mask}}
    values |= {"targets": {"label": {"source": "label", "classes": 2}}}
    values |= {"dimensions": {"length": {"least": 1, "most": most}}}
    values |= {"csv": None, "split": NO_SPLIT | {"val": 0.2, "test": 0.2, "seed": 0}}
    return read(PrepareParams, {"data": values})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [f"{text},{n % 2}" for n, text in enumerate(TEXTS)]
    (folder / "t.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return folder


def run(data: Path, *arguments: Any, name: str = "output", **changes: Any) -> Path:
    output = data.parent / name
    output.mkdir()
    prepare(data, output, params(*arguments, **changes))
    return output


def refuses(data: Path, *words: str, error: type[Exception] = DataError, **changes: Any) -> None:
    with refused(*words, error=error):
        run(data, **changes)


@pytest.mark.parametrize("model", ["bpe", "wordpiece"])
def test_ids_are_those_of_the_tokenizer_that_lies_beside_them(data: Path, model: str) -> None:
    output = run(data, {"train": {"model": model, "size": 300}})
    tokenizer = Tokenizer.from_file(str(output / "tokenizer.json"))
    texts = json.loads((output / "texts.json").read_text())["tokens"]
    inputs, _ = arrays.split(output, "test")
    for row, text in enumerate(texts):
        assert text in TEXTS
        ids = inputs["tokens"][slice(row, row + 1)][0].tolist()
        assert ids == tokenizer.encode(text).ids
    batch = inputs["tokens"][slice(0, 6)]
    assert (batch[inputs["mask"][slice(0, 6)] == 0] == tokenizer.token_to_id("[PAD]")).all()


def test_the_schema_names_the_tokenizer_by_its_digest(data: Path) -> None:
    output = run(data)
    entry = json.loads((output / "schema.json").read_text())["inputs"]["tokens"]
    digest = hashlib.sha256((output / "tokenizer.json").read_bytes()).hexdigest()
    assert entry["tokenizer"] == {"file": "tokenizer.json", "sha256": digest}
    assert entry["shape"] == ["length"] and entry["dtype"] == "int64" and entry["pad"] == 0


def test_a_tokenizer_is_learnt_from_the_training_rows_alone(data: Path) -> None:
    """Other texts in the rows of the test split change no byte of it."""
    output = run(data)
    test = json.loads((output / "texts.json").read_text())["tokens"]
    lines = (data / "t.csv").read_text().splitlines()
    changed = [f"other words here,{x[-1]}" if x[:-2] == test[0] else x for x in lines]
    assert changed != lines and sum(a != b for a, b in zip(changed, lines, strict=True)) == 1
    (data / "t.csv").write_text("\n".join(changed) + "\n")
    again = run(data, name="again")
    files = [each / "tokenizer.json" for each in (output, again)]
    assert files[0].read_bytes() == files[1].read_bytes()


LEARN = """
import hashlib
from pipeline.config.text_params import Vocabulary
from pipeline.data import tokenizer
from testing.prepared import NO_SPLIT
texts = [f"word{n % 97} {'abcdefghijklmnop'[n % 16]}{n} täglich łódź" for n in range(800)]
made = tokenizer.trained(lambda: texts, Vocabulary(model="wordpiece", size=200))
print(hashlib.sha256(made.to_str().encode()).hexdigest())
"""


def test_another_process_learns_the_same_bytes() -> None:
    """`tokenizers` itself orders the pieces of WordPiece by a hash that differs by process."""
    command = [sys.executable, "-c", LEARN]
    learnt = {subprocess.run(command, capture_output=True, check=True).stdout for _ in range(3)}
    assert len(learnt) == 1


def test_a_tokenizer_that_is_given_makes_the_ids(data: Path) -> None:
    (data / "mine.json").write_bytes((run(data) / "tokenizer.json").read_bytes())
    given = run(data, {"file": "mine.json"}, name="given")
    learnt = data.parent / "output"
    for name in ("train/inputs/tokens.npy", "train/offsets/length.npy", "tokenizer.json"):
        assert (given / name).read_bytes() == (learnt / name).read_bytes()


@pytest.mark.parametrize("content", ["", "{}", "no JSON", '{"model": {"type": "BPE"}}', "\xff\xfe"])
def test_a_file_that_is_no_tokenizer_ends_in_one_line(data: Path, content: str) -> None:
    (data / "mine.json").write_bytes(content.encode("latin-1"))
    refuses(data, "mine.json", "no tokenizer", "tokenizer.json", tokenizer={"file": "mine.json"})


def test_a_missing_tokenizer_is_named(data: Path) -> None:
    refuses(data, "mine.json", "No such file", tokenizer={"file": "mine.json"})


def test_a_text_longer_than_the_bounds_is_named_or_cut_off_where_that_is_wanted(
    data: Path,
) -> None:
    refuses(data, "row 4", "'text'", "tokenizer.truncate", "expected 1 to 3", most=3)
    (data.parent / "output").rmdir()
    output = run(data, TRAIN | {"truncate": True}, most=3)
    assert np.diff(np.load(output / "train/offsets/length.npy")).max() == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokenizer": {}}, "expected file"),
        ({"tokenizer": TRAIN | {"file": "x.json"}}, "expected file"),
        ({"dtype": "string"}, "expected of a tokenizer's ids shape [<dimension>] and int64"),
        ({"shape": ["length", 2]}, "expected of a tokenizer's ids"),
        ({"tokenizer": {"train": {"model": "unigram", "size": 99}}}, "bpe, wordpiece"),
    ],
)
def test_a_tokenizer_that_cannot_be_is_refused(
    data: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParamsError, match=words.replace("[", r"\[")):
        run(data, **changes)
