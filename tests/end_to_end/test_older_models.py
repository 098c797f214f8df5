"""Complete models that older versions of the code made are examined, and trained on, as they lie.

older_models/ has one of each layout, all of 22 Nov 2026: `first` before lineage and training came
along, the other before there was an input example. What came after is in older/.
"""

import tarfile
from pathlib import Path

import pytest

from pipeline import examine, provenance
from testing.project import Project

MODELS = Path(__file__).with_name("older_models")
WITHOUT_EXAMPLE, FIRST = "2026-11-22", "2026-11-22-first"
WORDS = {
    WITHOUT_EXAMPLE: ("trains on: torch_export", "from before complete models had an input exampl"),
    FIRST: ("not done  lineage", "from before a complete model carried its lineage"),
}


def unpacked(name: str, directory: Path) -> Path:
    with tarfile.open(MODELS / f"{name}.tar.xz") as archive:
        archive.extractall(directory, filter="data")
    return directory / "complete-model"


def resealed(directory: Path) -> None:
    definition = provenance.read(directory)["predicate"]["buildDefinition"]
    provenance.write(directory, definition)


@pytest.mark.parametrize("name", WORDS)
def test_it_is_examined_with_a_word_on_what_it_lacks(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert examine.main([str(unpacked(name, tmp_path))]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in WORDS[name])


@pytest.mark.parametrize("name", WORDS)
def test_it_is_held_to_what_was_written_then(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mailed = unpacked(name, tmp_path)
    text = (mailed / "MLmodel").read_text()
    (mailed / "MLmodel").write_text(text.replace("mlflow.onnx", "evil"))
    resealed(mailed)
    assert examine.main([str(mailed)]) == 1
    assert "found '    loader_module: evil'" in capsys.readouterr().out


def test_a_model_of_today_without_its_lineage_is_none_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mailed = unpacked(WITHOUT_EXAMPLE, tmp_path)
    for path in (mailed / "lineage").iterdir():
        path.unlink()
    (mailed / "lineage").rmdir()
    resealed(mailed)
    assert examine.main([str(mailed)]) == 1
    assert "not carried" in capsys.readouterr().out


def test_it_is_trained_on(project: Project, tmp_path: Path) -> None:
    mailed = unpacked(WITHOUT_EXAMPLE, tmp_path)
    command = ("python", "-m", "pipeline.resume", str(mailed), "data=digits", "train.epochs=1")
    said = project.run(*command, "checkpoint.many=8", "verify.checks=[parity,continuation]").stdout
    assert "verified: passed: integrity, parity, continuation" in said


def test_one_that_nothing_trains_on_says_so_in_one_line(project: Project, tmp_path: Path) -> None:
    mailed = unpacked(FIRST, tmp_path)
    done = project.run("python", "-m", "pipeline.resume", str(mailed), "data=digits", check=False)
    assert done.returncode == 1
    assert done.stdout.strip() == (
        f"error: resume: {mailed}: cannot be trained on; export it again with export.train=true"
    )
