"""DVC takes the md5 of a large file that a stage has just written, and reads it otherwise."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import written
from pipeline.config.yaml_text import load_yaml
from pipeline.project import ROOT
from pipeline.run import dvc_state
from testing import preloaded

CONTENT = b"weights" * 1000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
WRONG = MD5[::-1]
WRITE = """
import sys
from pathlib import Path

sys.path.insert(0, {root!r})
from pipeline import written
from pipeline.files import replacing
from pipeline.run import dvc_state

written.LARGE = 1
(output := Path("out")).mkdir()
for name in ("large", "linked"):
    with replacing(output / name) as partial:
        if name == "large":
            with partial.open("wb") as file:
                file.write(b"weights" * 1000)
        else:
            written.link(output / "large", partial)
{more}
dvc_state.tell(output)
"""
OTHERWISE = """
known = written.known_md5
written.known_md5 = lambda folder: {each: %r for each in known(folder)}
"""


def run(place: Path, *words: str) -> None:
    subprocess.run([preloaded.python(), "-m", *words], cwd=place, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    run(tmp_path, "dvc", "init", "--no-scm", "--quiet")
    return tmp_path


def recorded(place: Path, more: str = "") -> dict[str, str]:
    """Returns what DVC has for each file of an output that such a script wrote as a stage."""
    (place / "write.py").write_text(WRITE.format(root=str(ROOT), more=more))
    stage = f"{{cmd: {sys.executable} write.py, outs: [out]}}"
    (place / "dvc.yaml").write_text(f"stages:\n  write: {stage}\n")
    run(place, "dvc", "repro", "--quiet")
    (out,) = load_yaml((place / "dvc.lock").read_text(), "dvc.lock")["stages"]["write"]["outs"]
    listed = place / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]
    content = load_yaml(listed.read_text(), "listed")
    return {entry["relpath"]: entry["md5"] for entry in content}


def test_dvc_has_the_md5_of_the_bytes(repository: Path) -> None:
    assert recorded(repository) == {"large": MD5, "linked": MD5}


def test_dvc_takes_what_it_is_told(repository: Path) -> None:
    """Else an installed version remembers otherwise, and reads each large file once more."""
    assert recorded(repository, OTHERWISE % WRONG) == {"large": WRONG, "linked": WRONG}


def test_what_was_written_since_is_read_by_dvc(repository: Path) -> None:
    after = "(output / 'large').unlink()\n(output / 'large').write_bytes(b'other')"
    other = hashlib.md5(b"other", usedforsecurity=False).hexdigest()
    assert recorded(repository, after) == {"large": other, "linked": MD5}
    told = f"{OTHERWISE % WRONG}\ndvc_state.tell(output)\nwritten.known_md5 = lambda folder: {{}}\n"
    repository = repository / "second"
    repository.mkdir()
    run(repository, "dvc", "init", "--no-scm", "--quiet")
    assert recorded(repository, told + after)["large"] == other


def test_without_dvc_or_its_table_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "LARGE", 1)
    written.copy(Path(__file__), tmp_path / "large")
    assert list(written.known_md5(tmp_path)) == [tmp_path / "large"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(dvc_state.RUNS_STAGE, raising=False)
    dvc_state.tell(tmp_path)
    monkeypatch.setenv(dvc_state.RUNS_STAGE, "write")
    dvc_state.tell(tmp_path)  # is no repository of DVC's
    run(tmp_path, "dvc", "init", "--no-scm", "--quiet")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "large"))  # is no folder
    dvc_state.tell(tmp_path)
