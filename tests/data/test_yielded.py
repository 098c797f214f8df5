"""A function of data/ that yields rows is raw data; what it does wrong is named with its row."""

import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.data.tables import BATCH
from pipeline.errors import ParamsError
from testing.prepared import NO_SPLIT, SPLIT
from testing.project import Project
from testing.raw_data import RawData

ROWS = """
import numpy as np

def rows(count=20, seed=0):
    draw = np.random.default_rng(seed)
    for n in range(count):
        {line}
        yield row
"""
PLAIN = (
    'row = {"picture": draw.integers(0, 256, (2, 3), np.uint8), "name": f"n{n}", "label": n % 2}'
)
PICTURE = {"picture": {"source": "picture", "shape": [2, 3], "dtype": "uint8"}}


@pytest.fixture
def code(raw: RawData, monkeypatch: pytest.MonkeyPatch) -> Iterator[RawData]:
    """A clone's folder, in which data.<name> can be imported."""
    monkeypatch.chdir(raw.root)
    monkeypatch.syspath_prepend(raw.root)
    yield raw
    forget()


def forget() -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "data"]:
        del sys.modules[name]


def written(raw: RawData, line: str = PLAIN, name: str = "drawn") -> RawData:
    raw.write(f"{name}.py", ROWS.format(line=textwrap.indent(line, " " * 8).strip()))
    shutil.rmtree(raw.data / "__pycache__", ignore_errors=True)
    forget()
    return raw


def config(target: str = "data.drawn.rows", **arguments: Any) -> dict[str, Any]:
    rows = {"_target_": target} | arguments
    return {"rows": rows, "inputs": PICTURE, "ignore": ["name"]}


def test_its_rows_are_raw_data(code: RawData) -> None:
    arrays = written(code).prepare(**config(seed=3))
    draw = np.random.default_rng(3)
    expected = {draw.integers(0, 256, (2, 3), np.uint8).tobytes(): n % 2 for n in range(20)}
    found = zip(arrays["picture"], arrays["label"], strict=True)
    assert {row.tobytes(): label for row, label in found} == expected


def test_the_same_rows_are_the_same_bytes(code: RawData) -> None:
    written(code)
    one, other = code.prepare(**config()), code.prepare(**config())
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_texts_lists_and_numbers_of_python_are_taken(code: RawData) -> None:
    written(code, 'row = {"x": [n, n / 2], "t": "é" * (n + 1), "label": bool(n % 2), "name": n}')
    inputs = {"x": {"source": "x", "shape": [2], "dtype": "float32"}}
    inputs |= {"t": {"source": "t", "shape": [], "dtype": "string"}}
    arrays = code.prepare(**config() | {"inputs": inputs})
    assert sorted(arrays["x"][:, 0]) == list(range(20)) and set(arrays["label"]) == {0, 1}
    assert max(arrays["t"], key=len) == "é" * 20


def test_rows_may_have_a_length_of_their_own(code: RawData) -> None:
    written(code, 'row = {"x": list(range(1 + n % 4)), "label": n % 2, "name": n}')
    inputs = {"x": {"source": "x", "shape": ["length"], "dtype": "int64"}}
    bounds = {"length": {"least": 1, "most": 4}}
    arrays = code.prepare(**config() | {"inputs": inputs, "dimensions": bounds})
    assert sorted(arrays["x"].tolist()) == sorted(p for n in range(20) for p in range(1 + n % 4))


def test_its_rows_can_name_images(code: RawData) -> None:
    from PIL import Image

    (code.data / "images").mkdir()
    for n in range(9):
        Image.new("L", (3, 2), n).save(code.data / f"images/{n}.png")
    written(code, 'row = {"file": f"images/{n}.png", "label": n % 2}')
    image = {"source": "file", "shape": [2, 3], "dtype": "uint8", "image": {"mode": "L"}}
    arrays = code.prepare(**config(count=9) | {"inputs": {"picture": image}, "ignore": []})
    assert sorted(arrays["picture"][:, 0, 0]) == list(range(9))


def spoilt(line: str) -> str:
    """Row 8 is another."""
    return f"{PLAIN}\nif n == 7:\n    {line}"


BAD = {
    "a missing key": ("del row['label']", "row 8, 'label': missing, found 'picture', 'name'"),
    "another shape": ("row['picture'] = row['picture'].T", "row 8, 'picture': found shape [3, 2]"),
    "ragged lists": ("row['picture'] = [[1], [2, 3]]", "row 8, 'picture': found shape []"),
    "another dtype": ("row['picture'] = row['picture'].astype(str)", "row 8, 'picture': found <U"),
    "objects": ("row['label'] = object()", "row 8, 'label': found object"),
    "nothing": ("row['label'] = None", "row 8, 'label': found None"),
    "complex numbers": ("row['label'] = 1j", "row 8, 'label': found complex128"),
    "NaN": ("row['picture'] = row['picture'] * np.nan", "row 8, 'picture[0, 0]': found nan"),
    "a number too large": (
        "row['picture'] = row['picture'].astype(int) + 256",
        "row 8, 'picture[0, 0]'",
    ),
    "a class too many": ("row['label'] = 2", "row 8, 'label': found 2"),
    "no dict": ("row = [1, 2]", "row 8: found list, expected a dict"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_named(code: RawData, kind) -> None:
    line, words = BAD[kind]
    written(code, spoilt(line)).refuses(f"data/drawn.py: {words}", **config())


def test_no_row_at_all_is_named(code: RawData) -> None:
    written(code).refuses("data/drawn.py: yields no row", **config(count=0))


def test_what_the_function_raises_is_one_line_with_its_place(code: RawData) -> None:
    written(code, spoilt("raise OSError('no\\nnet')"))
    code.refuses("data/drawn.py:9: OSError: no net; in row 8", **config())


def test_so_is_an_exception_of_its_own(code: RawData) -> None:
    own = "class Mine(Exception): pass\nraise Mine('odd')"
    written(code, f"{PLAIN}\nif n == 7:\n{textwrap.indent(own, '    ')}")
    code.refuses("data/drawn.py:10: Mine: odd; in row 8", **config())


def test_what_a_library_raises_is_told_at_the_line_that_called_it(code: RawData) -> None:
    written(code, spoilt("np.linalg.inv(np.zeros((2, 2)))"))
    code.refuses("data/drawn.py:9: LinAlgError: Singular matrix; in row 8", **config())


def test_rows_that_are_others_the_second_time_are_noticed(code: RawData) -> None:
    drawn = "row['picture'] = np.random.default_rng().integers(0, 256, (2, 3), np.uint8)"
    written(code, f"{PLAIN}\n{drawn}")
    code.refuses_late("data/drawn.py: yields other rows when it is called again", **config())


def test_fewer_rows_the_second_time_are_noticed(code: RawData) -> None:
    written(code, f"{PLAIN}\nif n == 0:\n    calls.append(n)\nif n + 3 * len(calls) > 25: return")
    path = code.data / "drawn.py"
    path.write_text(path.read_text().replace("def rows", "calls = []\n\n\ndef rows"))
    code.refuses_late("data/drawn.py", **config())


TARGETS = {
    "another package": ("os.system", "found 'os.system', expected something of data"),
    "a model": ("models.torch_mlp.TorchMLP", "expected something of data"),
    "no function": ("data.drawn.np", "expected a function of data/"),
    "of a library": ("data.drawn.np.zeros", "expected a function of data/"),
    "a module that is not there": ("data.other.rows", "data has no other"),
    "a function that is not there": ("data.drawn.other", "data.drawn has no other"),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_what_is_no_function_of_data_is_refused(code: RawData, kind) -> None:
    target, words = TARGETS[kind]
    written(code).refuses("data.rows._target_: ", words, error=ParamsError, **config(target))


def test_an_argument_that_it_does_not_take_is_one_line(code: RawData) -> None:
    written(code).refuses("data.rows: ", "'colour'", error=ParamsError, **config(colour="red"))


def test_a_module_that_cannot_be_imported_is_one_line_with_its_place(code: RawData) -> None:
    code.write("drawn.py", "import numpy\nimport nowhere\n")
    forget()
    code.refuses("data/drawn.py:2: ModuleNotFoundError", error=ParamsError, **config())


def test_code_of_models_is_no_dep_of_prepare_and_is_refused(code: RawData) -> None:
    (code.root / "models").mkdir()
    (code.root / "models/__init__.py").write_text("")
    (code.root / "models/shared.py").write_text("SIZE = 3\n")
    written(code)
    path = code.data / "drawn.py"
    path.write_text("import models.shared\n" + path.read_text())
    forget()
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if name.startswith("models")}
    try:
        code.refuses("data/drawn.py imports models/", error=ParamsError, **config())
    finally:
        for name in [each for each in sys.modules if each.split(".")[0] == "models"]:
            del sys.modules[name]
        sys.modules.update(before)


def test_file_and_function_at_once_or_neither_are_refused(raw: RawData) -> None:
    both = config() | {"file": "x.csv"}
    raw.refuses("data.file: found data.file and data.rows", error=ParamsError, **both)
    raw.refuses("data.file: found nothing", error=ParamsError, inputs=PICTURE)


def test_a_batch_is_a_few_megabytes(code: RawData) -> None:
    from pipeline.data.yielded import Yielded

    zeros = np.zeros((1 << 20,), np.uint8)
    table = Yielded(code.data / "drawn.py", lambda: ({"x": zeros} for _ in range(11)))
    sizes = [len(batch["x"]) for batch in table.batches({"x": "number"})]
    assert sum(sizes) == 11 and max(sizes) << 20 <= BATCH


def test_names_gaps_and_groups_are_as_in_a_file(code: RawData) -> None:
    line = 'row = {"x": float("nan") if n == 3 else n, "t": "ab"[n % 2], "label": "uv"[n // 10]}'
    written(code, line + '; row["site"] = n % 5')
    inputs = {"x": {"source": "x", "shape": [], "dtype": "float32", "missing": "keep"}}
    inputs |= {"t": {"source": "t", "shape": [], "dtype": "int64", "categories": 1}}
    targets = {"label": {"source": "label", "classes": ["u", "v"]}}
    split = NO_SPLIT | SPLIT | {"group": "site"}
    changes = {"inputs": inputs, "targets": targets, "split": split, "ignore": []}
    arrays = code.prepare(**config() | changes)
    assert np.isnan(arrays["x"]).sum() == 1 and arrays["label"].sum() == 10
    assert sorted(arrays["t"]) == [0] * 10 + [1] * 10


def test_what_is_no_time_is_named(code: RawData) -> None:
    written(code, 'row = {"x": "noon", "label": n % 2}')
    inputs = {"x": {"source": "x", "shape": [], "dtype": "float32", "time": "days"}}
    said = ["drawn.py: row 1, 'x': found 'noon', expected a date or a time; leave the input's time"]
    code.refuses(*said, **config() | {"inputs": inputs, "ignore": []})


def test_rows_of_a_function_that_nobody_committed_are_made_again(project: Project) -> None:
    """It came with the artifact as a patch, and is a stranger's: shown, and run confined."""
    own = "from data import shapes\n\n\ndef rows(**_):\n    yield from shapes.rows(60, 3)\n"
    (project.root / "data/mine.py").write_text(own)
    project.params("experiment=segmentation", "data.rows._target_=data.mine.rows")
    project.stage("prepare")
    assert "data/mine.py" in project.read("artifacts/data/source.patch")
    (project.root / "data/mine.py").unlink()
    again = ("python", "-m", "pipeline.reproduce", "artifacts/data")
    refused = project.run(*again, check=False)
    assert refused.returncode == 2 and "1 files of code (data/mine.py)" in refused.stdout
    done = project.run(*again, "--run-foreign-code")
    assert "SAME BYTES" in done.stdout
