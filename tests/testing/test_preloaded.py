"""A command that begins with its imports done is in all else the process that it stands for."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from faults._server import serving
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
        (("setsid", "--wait", "sh", "-c", '"$@"; exit $?', "sh"), {}),
        (("taskset", "1"), {}),
        (("unshare", "--user", "--map-root-user", "--mount", "--uts"), {}),
        (("unshare", "--user", "--map-root-user"), {}),
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


def test_who_begins_a_session_has_a_stand_in_that_leads_one(place: Project) -> None:
    ours = probed(place, "setsid", "--wait")
    real = probed(place, "setsid", "--wait", PATH=f"{preloaded.REAL}:{os.environ['PATH']}")
    assert ours.pop("modules") and not real.pop("modules"), preloaded.refused()
    for each in (ours, real):
        assert each["leads"]
        each.pop("group"), each["environ"].pop("PATH")
    assert ours == real


MOUNTED = "import os, sys; print(os.getuid(), os.listdir('more'), 'sklearn' in sys.modules)\n"
SPACES = "import os; print([os.readlink(f'/proc/self/ns/{each}') for each in ('user', 'mnt')])"


def test_who_has_mounts_of_its_own_has_a_stand_in_that_sees_them(place: Project) -> None:
    (place.root / "more").mkdir()
    (place.root / "pipeline/seen.py").write_text(MOUNTED + SPACES)
    look = "mount -t tmpfs tmpfs more && touch more/here && python -m pipeline.seen"
    real = f"{preloaded.REAL}/python -m pipeline.seen"
    alone = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{look} && {real}")
    ours, our_spaces, theirs, their_spaces = place.run(*alone).stdout.splitlines()
    assert ours == "0 ['here'] True", preloaded.refused()
    assert theirs == ours.replace("True", "False") and our_spaces == their_spaces
    assert list((place.root / "more").iterdir()) == []


CLIENT = (preloaded.HERE / "client.py").read_text().removesuffix("main()\n")


@pytest.mark.parametrize(
    ("command", "parent"),
    [
        ("python -m pipeline.prepare", "plain"),
        ("python -m pipeline.log_to_mlflow", "mlflow"),
        ("python -m pipeline -m train.lr=0.1,0.2", "mlflow"),
        ("python -m pipeline.training.ranks.worker a b c 0", "ranks"),
        ("python -m mlflow server --port 1", "mlflow server"),
        ("python -m uvicorn --port 1 mlflow.server.fastapi_app:app", "mlflow server"),
        ("python -m uvicorn other:app", None),
        ("python -m mlflow db upgrade x", None),
        ("dvc repro train", "dvc"),
        ("python -m dvc add x", "dvc"),
        ("dvc exp run -S a=1 prepare", "dvc"),
        ("dvc exp run --queue -S a=1,2", None),
        ("dvc exp run --run-all --jobs 1", None),
        ("dvc exp", None),
        ("dvc queue start", None),
        ("dvc init", "dvc"),
    ],
)
def test_each_command_has_the_parent_that_imports_what_it_does(
    command: str, parent: str | None
) -> None:
    exec(CLIENT, client := {"REAL": "", "__name__": "client"})
    program, *words = command.split()
    assert client["parent"](program, words) == parent


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


ENDING = """
import atexit, sys, threading, time
class Held:
    def __del__(self):
        print("taken apart")
held = Held()
atexit.register(print, "at its end")
threading.Thread(target=lambda: (time.sleep(0.1), print("a thread's"))).start()
print("not flushed", end=" ")
"""


@pytest.mark.parametrize(
    ("last", "code"),
    [("", 0), ("sys.exit(3)", 3), ("sys.exit('a word')", 1), ("sys.exit(-1)", 255)],
)
def test_it_ends_as_python_does_but_takes_nothing_apart(
    place: Project, last: str, code: int
) -> None:
    (place.root / "pipeline/ends.py").write_text(ENDING + last)
    command = ("python", "-m", "pipeline.ends")
    ours, real = (place.run(*command, check=False, fresh=fresh) for fresh in (False, True))
    assert ours.returncode == real.returncode == code
    assert ours.stdout.splitlines() == real.stdout.splitlines()[:-1], preloaded.refused()
    assert real.stdout.endswith("taken apart\n")


def test_what_cannot_be_written_is_a_failure_as_in_python(place: Project) -> None:
    (place.root / "pipeline/ends.py").write_text("print('lost')")
    command = ("sh", "-c", "python -m pipeline.ends > /dev/full")
    ours, real = (place.run(*command, check=False, fresh=fresh) for fresh in (False, True))
    assert ours.returncode == real.returncode != 0
    assert "No space left" in ours.stdout and "No space left" in real.stdout


def test_lists_of_processes_name_the_client_and_what_runs(place: Project) -> None:
    running, process = started(place)
    assert Path(f"/proc/{process.pid}/comm").read_text() == f"{running.pid} lasts\n"
    running.kill()
    running.wait(30)


def test_a_rank_ends_with_the_training_that_has_started_its_client(place: Project) -> None:
    """It asks to be killed with its parent, and means that of its client, which lives on."""
    worker = place.root / "pipeline/training/ranks/worker.py"
    worker.parent.mkdir(parents=True)
    for package in (worker.parent, worker.parent.parent):
        (package / "__init__.py").touch()
    worker.write_text(LASTS)
    words = [preloaded.python(), "-m", "pipeline.training.ranks.worker"]
    ranks = preloaded.refused()
    training = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({words})"],
        cwd=place.root,
        env={**os.environ, "OMP_NUM_THREADS": "1"} | RANK,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert training.stdout
    rank = psutil.Process(int(training.stdout.readline()))
    assert preloaded.refused() == ranks and rank.name().endswith(" worker")
    training.kill()
    training.wait(30)
    assert psutil.wait_procs([rank], timeout=30)[1] == []


RANK = {"TORCH_CPP_LOG_LEVEL": "ERROR", "THP_MEM_ALLOC_ENABLE": "1", "RANK": "1", "WORLD_SIZE": "2"}


def test_a_server_of_mlflows_begins_with_its_imports_done(tmp_path: Path) -> None:
    before = preloaded.refused()
    with serving(tmp_path / "server") as server:
        assert urllib.request.urlopen(f"http://127.0.0.1:{server.port}/version").status == 200
        names = {each.name().partition(" ")[2] for each in psutil.process_iter()}
    assert {"mlflow", "uvicorn"} <= names and preloaded.refused() == before


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


SHAPE = "from dataclasses import dataclass\n@dataclass\nclass Shape:\n    {}: int = 1\n"
METHODS = """
import dataclasses, inspect, pipeline.shape
known = inspect.getclosurevars(dataclasses.exec).nonlocals["known"]
before = len(known)
from pipeline.config import params
print(len(known) - before, pipeline.shape.Shape())
"""


def test_a_dataclass_of_ours_is_not_compiled_again_and_another_is(project: Project) -> None:
    (project.root / "pipeline/methods.py").write_text(METHODS)
    for field in ("side", "area"):
        (project.root / "pipeline/shape.py").write_text(SHAPE.format(field))
        said = project.run("python", "-m", "pipeline.methods").stdout
        assert said == f"0 Shape({field}=1)\n", preloaded.refused()


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
