"""What the workers of a run rewrite for one another is what pytest would have made."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from _pytest.assertion import rewrite

from testing.project import ROOT
from testing.rewritten import asked_for, rewrite_files, rewrite_share

TEST = "def test_one():\n    one = 1\n    assert one == 2\n"


def written(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(TEST)
    return [folder / name for name in names]


def made(folder: Path) -> list[str]:
    return sorted(each.name.partition(".")[0] for each in folder.rglob("*.pyc"))


def test_pytest_takes_it_and_rewrites_a_changed_file_alone(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (file,) = written(tmp_path, "test_it.py")
    rewrite_files(request.config, [file])
    assert made(tmp_path) == ["test_it"]
    rewritten = []
    usual = rewrite._rewrite_test

    def noted(path: Path, config: pytest.Config) -> object:
        rewritten.append(path)
        return usual(path, config)

    monkeypatch.setattr(rewrite, "_rewrite_test", noted)

    def failure() -> str:
        hook = rewrite.AssertionRewritingHook(request.config)
        spec = importlib.util.spec_from_file_location("test_it", file, loader=hook)
        assert spec
        module = importlib.util.module_from_spec(spec)
        hook.exec_module(module)
        with pytest.raises(AssertionError) as fault:
            module.test_one()
        return str(fault.value)

    assert "assert 1 == 2" in failure() and not rewritten
    rewrite_files(request.config, [file])
    assert not rewritten
    file.write_text(TEST.replace("2", "3"))
    assert "assert 1 == 3" in failure() and rewritten == [file]


def test_each_worker_has_another_share_of_what_was_asked_for(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    names = ("test_a.py", "test_b.py", "more/test_c.py", "slow/test_d.py", "helper.py")
    written(tmp_path, *names)
    ignored = [str(tmp_path / "slow")]

    def config(worker: int) -> SimpleNamespace:
        return SimpleNamespace(
            args=[str(tmp_path), str(tmp_path / "test_a.py")],
            getoption={"ignore": ignored}.get,
            stash=request.config.stash,
            getini=request.config.getini,
            get_verbosity=request.config.get_verbosity,
            workerinput={"workerid": f"gw{worker}", "workercount": 2},
        )

    assert [file.name for file in asked_for(config(0))] == ["test_c.py", "test_a.py", "test_b.py"]
    rewrite_share(config(1))
    assert made(tmp_path) == ["test_a"]
    rewrite_share(config(0))
    assert made(tmp_path) == ["test_a", "test_b", "test_c"]


def test_a_file_that_is_no_python_is_left_to_the_collection(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (file,) = written(tmp_path, "test_it.py")
    file.write_text("def (")
    rewrite_files(request.config, [file])
    assert made(tmp_path) == []


def test_where_no_bytecode_is_written_none_is(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    rewrite_files(request.config, written(tmp_path, "test_it.py"))
    assert made(tmp_path) == []


CONFTEST = """
import pytest
from testing.rewritten import rewrite_share

def pytest_configure(config):
    if hasattr(config, "workerinput"):
        rewrite_share(config)
"""


def test_workers_of_a_real_run_do_so(tmp_path: Path) -> None:
    written(tmp_path, *(f"test_{number}.py" for number in range(4)))
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    words = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "."]
    done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 1 and "4 failed" in done.stdout, done.stdout
    assert "assert 1 == 2" in done.stdout
    assert made(tmp_path) == ["conftest", *(f"test_{number}" for number in range(4))]
