"""A command that begins with its imports done is in all else the process that it stands for."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.formats import declared
from pipeline.sandbox import processes
from pipeline.sandbox.processes import Start
from pipeline.sandbox.supervisor import environment
from pipeline.sandbox.worker.loading import UNUSED
from testing import preloaded
from testing.probe import LASTS, PROBE
from testing.project import ROOT, Project


@pytest.fixture
def place(tmp_path: Path) -> Project:
    """Has a command of ours for which a parent is there."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").touch()
    (tmp_path / "pipeline/probe.py").write_text(PROBE)
    (tmp_path / "pipeline/lasts.py").write_text(LASTS)
    return Project(tmp_path)


def probed(place: Project, *before: str, umask: int = 0o027, **environ: str) -> dict:
    """What a probe found of itself, started as a shell starts it."""
    command = [*before, "python", "-m", "pipeline.probe", "one", "", "zwölf"]
    done = subprocess.run(
        command,
        cwd=place.root,
        env={**os.environ, "PATH": preloaded.path(), **environ},
        input="given",
        umask=umask,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_the_process_that_python_would_be_but_for_its_imports(place: Project) -> None:
    path = {"PYTHONPATH": f"{place.root / 'more'}:/nowhere", "DVC_STAGE": "probe"}
    ours = probed(place, **path)
    real = probed(place, **path, PATH=f"{preloaded.REAL}:{os.environ['PATH']}")
    assert ours.pop("modules") and not real.pop("modules"), preloaded.refused()
    ours["environ"].pop("PATH"), real["environ"].pop("PATH")
    assert ours == real


def test_what_a_script_starts_begins_with_its_imports_done_too(place: Project) -> None:
    command = "[sys.executable, '-m', 'pipeline.probe', *sys.argv[1:]]"
    code = f"import subprocess, sys; subprocess.run({command}, check=True)"
    found = json.loads(place.script(code, "one").stdout)
    assert found["argv"][1:] == ["one"] and found["modules"], preloaded.refused()


@pytest.mark.parametrize(
    ("wrapper", "environ"),
    [
        ((), {"LC_ALL": "C"}),
        ((), {"PYTHONHASHSEED": "7"}),
        ((), {"HOME": "/nowhere"}),
        ((), {"OMP_NUM_THREADS": "3"}),
        (("env", "-u", "HOME"), {}),
        (("sh", "-c", 'ulimit -n 99; exec "$@"', "sh"), {}),
        (("setsid", "--wait"), {}),
        (("taskset", "1"), {}),
        (("unshare", "--user", "--map-root-user", "--mount"), {}),
    ],
    ids=lambda each: " ".join(each),
)
def test_what_would_be_another_process_there_is_a_real_one(
    place: Project, wrapper: tuple[str, ...], environ: dict[str, str]
) -> None:
    assert probed(place)["modules"], preloaded.refused()
    before = preloaded.refused()
    assert not probed(place, *wrapper, **environ)["modules"]
    assert [reason.partition(":")[0] for reason in preloaded.refused() - before] == ["plain"]


def started(place: Project) -> tuple["subprocess.Popen[str]", psutil.Process]:
    """The command, and the process that does its work."""
    command = ["python", "-m", "pipeline.lasts"]
    environ = {**os.environ, "PATH": preloaded.path()}
    running = subprocess.Popen(
        command, cwd=place.root, env=environ, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout
    return running, psutil.Process(int(running.stdout.readline()))


def test_a_signal_reaches_it_and_its_exit_code_comes_back(place: Project) -> None:
    running, process = started(place)
    assert process.pid != running.pid
    running.terminate()
    said, _ = running.communicate(timeout=30)
    assert (said, running.returncode) == ("asked\n", 143)


def test_who_waits_for_it_sees_that_it_was_killed(place: Project) -> None:
    running, process = started(place)
    process.kill()
    assert running.wait(30) == -signal.SIGKILL


def test_it_ends_with_the_command_that_it_stands_for(place: Project) -> None:
    running, process = started(place)
    running.kill()
    running.wait(30)
    assert psutil.wait_procs([process], timeout=30)[1] == []


def test_a_client_that_is_killed_before_it_says_what_it_wants_ends_no_parent(
    place: Project,
) -> None:
    (place.root / "pipeline/who.py").write_text(
        "import os, psutil; print(psutil.Process(os.getppid()).ppid())"
    )
    parent = place.run("python", "-m", "pipeline.who").stdout
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(f"{os.environ[preloaded.NAME]}/plain.socket")
    assert place.run("python", "-m", "pipeline.who").stdout == parent


TERMS = {
    "read": [],
    "memory": 4 << 30,
    "seconds": 60,
    "file": 1 << 20,
    "files": True,
    "calls": False,
}
SERVED = """
import os, subprocess, sys, time
from pipeline.formats import declared
from pipeline.sandbox import processes
from pipeline.sandbox.processes import Start
from pipeline.sandbox.supervisor import environment
from pipeline.sandbox.worker.loading import UNUSED
from testing import preloaded
with preloaded.served():
    running = subprocess.Popen(["python", "-m", "pipeline.lasts"], cwd=sys.argv[1],
                               env={**os.environ, "PATH": preloaded.path()})
    time.sleep(60)
"""


def test_all_of_it_ends_when_what_started_it_is_killed(place: Project) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", SERVED, str(place.root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout
    process = psutil.Process(int(running.stdout.readline()))
    parent = process.parent()
    assert parent
    every = [process, parent, *parent.parents()[:1]]
    assert [str(preloaded.HERE / "server.py") in each.cmdline() for each in every[1:]] == [True] * 2
    folder = Path(parent.cmdline()[2])
    assert folder.is_dir()
    running.kill()
    running.wait(30)
    assert psutil.wait_procs(every, timeout=30)[1] == []
    assert not folder.exists()


def test_a_stage_runs_the_code_of_the_project_that_it_is_run_in(project: Project) -> None:
    """Not that which is installed, of which MLflow's entry point loads some."""
    (project.root / "pipeline/tracking/__init__.py").write_text("raise SystemExit('its own')\n")
    assert "its own" in project.run("python", "-m", "pipeline.relog", check=False).stdout


WHERE = """
import importlib.machinery, pipeline.files, pipeline.other
code = pipeline.files.write_atomically.__code__
print(importlib.machinery.SourceFileLoader.source_to_code.__module__)
print(code.co_filename, *{each.co_filename for each in code.co_consts if hasattr(each, "co_code")})
print(pipeline.__file__, pipeline.other.__file__, getattr(pipeline.files, "CHANGED", None))
"""


def test_a_file_of_known_bytes_is_not_compiled_again_and_a_changed_one_is(place: Project) -> None:
    file = place.root / "pipeline/files.py"
    file.write_bytes((ROOT / "pipeline/files.py").read_bytes())
    for name in ("other", "errors"):  # one text in two places
        text = (ROOT / "pipeline/errors.py").read_bytes()
        (place.root / f"pipeline/{name}.py").write_bytes(text)
    (place.root / "pipeline/where.py").write_text(WHERE)

    def said() -> list[list[str]]:
        lines = place.run("python", "-m", "pipeline.where").stdout.splitlines()
        return [line.split() for line in lines]

    package = place.root / "pipeline"
    by, named, last = said()
    assert by == ["compiled"], preloaded.refused()
    assert set(named) == {str(file)}
    assert last == [str(package / "__init__.py"), str(package / "other.py"), "None"]
    file.write_bytes(file.read_bytes() + b"CHANGED = True\n")
    assert said()[2][2] == "True"


@pytest.mark.parametrize("threads", [1, 3])
def test_a_fork_server_of_the_sandbox_has_a_parent_if_its_variables_are_those(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", preloaded.python())
    view = tmp_path.with_name(f"{tmp_path.name}.view")
    view.mkdir()
    (tmp_path / "terms.json").write_text(
        json.dumps(TERMS | {"write": [str(tmp_path)], "view": str(view)})
    )
    (tmp_path / "job.py").write_text("import sys\nopen(sys.argv[1], 'w').write(repr(sys.path))")
    environ = environment(threads, tmp_path)
    server = processes.ForkServer.fresh(declared("onnx").imports, UNUSED, environ)
    with (tmp_path / "stderr").open("wb") as stderr:
        words = [str(tmp_path / name) for name in ("terms.json", "job.py", "it")]
        start = Start(arguments=words, directory=tmp_path, environment=environ, stderr=stderr)
        process = server.start(start)
    assert process is not None and process.wait(60) == 0, (tmp_path / "stderr").read_text()
    server.close()
    begun = "sandbox onnxruntime: variable MKL_NUM_THREADS" not in preloaded.refused()
    assert begun == (threads == 1), preloaded.refused()
    assert repr(str(ROOT)) not in (tmp_path / "it").read_text()
