"""A stage that DVC starts goes on in a process that has imported its framework. Here DVC is the
tests' own process."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.preloading.imports import SET_BEFORE
from pipeline.tracking.requests import ENVIRONMENT
from testing.probe import LASTS, PROBE
from testing.project import ROOT

NEEDED = ("preloading", "run/dvc_process.py", "run/__init__.py", "__init__.py")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose stages say what process they are, or last."""
    here = tmp_path_factory.mktemp("place")
    for name in NEEDED:
        of, to = ROOT / "pipeline" / name, here / "pipeline" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(of, to) if of.is_dir() else shutil.copyfile(of, to)
    (here / "pipeline/train.py").write_text(PROBE.replace("sklearn", "torch"))
    (here / "pipeline/log_to_mlflow.py").write_text(PROBE.replace("sklearn", "mlflow"))
    (here / "pipeline/checkpoint.py").write_text(LASTS)
    (here / "pipeline/prepare.py").touch()
    (here / "params.yaml").write_text("\nmodel:\n  framework: pytorch\n")
    return here


def test_libraries_are_imported_with_what_the_pipeline_sets_before_it_imports_them() -> None:
    assert SET_BEFORE["mlflow"].items() <= ENVIRONMENT.items()
    source = (ROOT / "pipeline/frameworks/_keras_import.py").read_text()
    sets = dict(re.findall(r'^os.environ\["(\w+)"\] = "(\w+)"', source, re.MULTILINE))
    assert sets == SET_BEFORE["keras"]


def surroundings(**changed: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return {**ours, "PATH": path, "DVC_STAGE": "train", **changed}


def surroundings_without_dvc(**changed: str) -> dict[str, str]:
    return {k: v for k, v in surroundings(**changed).items() if k != "DVC_STAGE"}


def probed(
    place: Path, *before: str, stage: str = "train", umask: int = 0o027, **changed: str
) -> dict:
    done = subprocess.run(
        [*before, "sh", "-c", f"python -m pipeline.{stage} one '' zwölf"],
        cwd=place,
        env=surroundings(**changed),
        input="given",
        umask=umask,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_the_process_that_python_would_be_but_for_its_imports(place: Path) -> None:
    ours = probed(place)
    real = probed(place, PRELOAD="0")
    assert ours.pop("modules") and not real.pop("modules")
    real["environ"].pop("PRELOAD")
    assert ours == real


def test_mlflow_is_preloaded_without_our_own_plug_in_which_is_another_projects(place: Path) -> None:
    assert probed(place, stage="log_to_mlflow")["modules"]


def test_a_framework_that_compose_has_put_into_params_is_preloaded_as_well(place: Path) -> None:
    assert probed(place)["modules"]
    (params := place / "params.yaml").write_text("\nmodel:\n  framework: keras\n")
    subprocess.run(
        [sys.executable, "-m", "pipeline.prepare"], cwd=place, env=surroundings(), check=True
    )
    (place / "pipeline/export_complete.py").write_text(PROBE.replace("sklearn", "tensorflow"))
    assert probed(place, stage="export_complete")["modules"]
    params.write_text("\nmodel:\n  framework: pytorch\n")


@pytest.mark.parametrize(
    ("wrapper", "changed"),
    [
        ((), {"OMP_NUM_THREADS": "3"}),
        ((), {"LD_LIBRARY_PATH": "/nowhere"}),
        (("setsid", "--wait"), {}),
        (("sh", "-c", 'ulimit -n 99; exec "$@"', "sh"), {}),
    ],
    ids=str,
)
def test_what_would_be_another_process_there_runs_where_it_is(
    place: Path, wrapper: tuple[str, ...], changed: dict[str, str]
) -> None:
    assert probed(place)["modules"]
    assert not probed(place, *wrapper, **changed)["modules"]


def test_a_module_of_the_project_that_is_called_like_an_imported_one_is_its_own(
    place: Path,
) -> None:
    (place / "sympy.py").touch()
    assert not probed(place)["modules"]
    (place / "sympy.py").unlink()
    assert probed(place)["modules"]


def test_what_dvc_has_not_started_starts_nothing(place: Path) -> None:
    words = [sys.executable, "-m", "pipeline.train"]
    for environ in (surroundings_without_dvc(), surroundings_without_dvc(RUNS_STAGES="1")):
        done = subprocess.run(
            words, cwd=place, env=environ, input="", capture_output=True, text=True
        )
        assert not json.loads(done.stdout)["modules"]


AS_REPRODUCE = """
import os, subprocess
os.environ["RUNS_STAGES"] = str(os.getpid())
subprocess.run(["sh", "-c", "python -m pipeline.train; exit $?"], input=b"", check=True)
"""


def test_reproduce_runs_stages_as_dvc_does(place: Path, tmp_path: Path) -> None:
    (script := tmp_path / "reproduce.py").write_text(AS_REPRODUCE)
    words = [sys.executable, str(script)]
    environ = surroundings_without_dvc()
    done = subprocess.run(words, cwd=place, env=environ, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["modules"]


def started(place: Path) -> tuple["subprocess.Popen[str]", psutil.Process]:
    """The stage's process, and the one that does its work."""
    running = subprocess.Popen(
        [sys.executable, "-m", "pipeline.checkpoint"],
        cwd=place,
        env=surroundings(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout
    process = psutil.Process(int(running.stdout.readline()))
    assert process.pid != running.pid
    assert Path(f"/proc/{process.pid}/comm").read_text().startswith(str(running.pid))
    return running, process


def test_a_signal_reaches_it_and_its_exit_code_comes_back(place: Path) -> None:
    running, _ = started(place)
    running.terminate()
    said, _ = running.communicate(timeout=30)
    assert (said, running.returncode) == ("asked\n", 143)


def test_who_waits_for_it_sees_that_it_was_killed(place: Path) -> None:
    running, process = started(place)
    process.kill()
    assert running.wait(30) == -signal.SIGKILL


def test_it_ends_with_the_stage_that_it_stands_for(place: Path) -> None:
    running, process = started(place)
    running.kill()
    running.wait(30)
    assert psutil.wait_procs([process], timeout=30)[1] == []


AS_DVC = """
import subprocess, sys, time
subprocess.run([sys.executable, "-m", "pipeline.prepare"], check=True)
print(flush=True)
time.sleep(60)
"""


def test_all_of_it_ends_when_dvc_is_killed(place: Path) -> None:
    (place / "as_dvc.py").write_text(AS_DVC)
    dvc = subprocess.Popen(
        [sys.executable, "as_dvc.py"], cwd=place, env=surroundings(), stdout=subprocess.PIPE
    )
    assert dvc.stdout
    dvc.stdout.readline()
    servers = [each for each in psutil.process_iter(["cmdline"]) if serves(each, dvc.pid)]
    assert servers
    dvc.kill()
    dvc.wait(30)
    assert psutil.wait_procs(servers, timeout=30)[1] == []
    time.sleep(0.1)
    assert not [each for each in psutil.process_iter(["cmdline"]) if serves(each, dvc.pid)]


@pytest.mark.parametrize(
    ("words", "imports_mlflow"),
    [
        ((), True),
        (("repro", "log-to-mlflow"), True),
        (("repro", "train"), False),
        (("repro", "--force", "checkpoint", "verify"), False),
        (("repro", "train", "dvc.yaml"), True),
        (("repro", "--downstream", "train"), True),
        (("repro", "-p", "train"), True),
    ],
)
def test_mlflow_is_imported_where_dvc_may_come_to_the_stage_that_logs(
    place: Path, words: tuple[str, ...], imports_mlflow: bool
) -> None:
    (place / "as_dvc.py").write_text(AS_DVC)
    dvc = subprocess.Popen(
        [sys.executable, "as_dvc.py", *words],
        cwd=place,
        env=surroundings(),
        stdout=subprocess.PIPE,
    )
    assert dvc.stdout
    dvc.stdout.readline()
    (server, *_) = [each for each in psutil.process_iter(["cmdline"]) if serves(each, dvc.pid)]
    names = {word.partition("=")[0] for word in server.info["cmdline"][5:]}
    dvc.kill()
    dvc.wait(30)
    assert names == {"pytorch", "metrics", *(("mlflow",) if imports_mlflow else ())}


TRAINS = """
import subprocess, sys, time
subprocess.run([sys.executable, "-m", "pipeline.train"], check=True, stdin=subprocess.DEVNULL)
print(flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("last", "ends"), [("train", True), ("checkpoint", False)])
def test_a_framework_is_imported_no_further_once_the_last_stage_is_begun(
    place: Path, last: str, ends: bool
) -> None:
    (place / "as_dvc.py").write_text(TRAINS)
    dvc = subprocess.Popen(
        [sys.executable, "as_dvc.py", "repro", last],
        cwd=place,
        env=surroundings(),
        stdout=subprocess.PIPE,
    )
    assert dvc.stdout
    assert json.loads(dvc.stdout.readline())["modules"]
    (server, *_) = [each for each in psutil.process_iter(["cmdline"]) if serves(each, dvc.pid)]
    framework = min(server.children(), key=lambda each: each.pid)
    until = time.monotonic() + (30 if ends else 0.5)
    while framework.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.01)
    assert (framework.status() == psutil.STATUS_ZOMBIE) == ends
    dvc.kill()
    dvc.wait(30)


def serves(process: psutil.Process, dvc: int) -> bool:
    words = process.info["cmdline"] or []
    return words[2:4] == ["pipeline.preloading.server", str(dvc)]
