"""A process that is forked with its imports done is in all else one that was started."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.sandbox import processes
from pipeline.sandbox.processes import Process, Servers, Start

linux = pytest.mark.skipif(not processes.FORKS, reason="the system has no safe fork")

PROBE = """
import json, os, resource, sys
from pathlib import Path
here = {"colorsys": "colorsys" in sys.modules, "changed": getattr(sys, "changed", False)}
sys.changed = True
print("said", file=sys.stderr)
Path(sys.argv[1]).write_text(json.dumps({
    **here,
    "argv": sys.argv[:2], "main": [__name__, __file__], "directory": os.getcwd(),
    "environment": dict(os.environ), "path": sys.path, "isolated": sys.flags.isolated,
    "open": sorted(os.listdir("/proc/self/fd"))[:3], "many": len(os.listdir("/proc/self/fd")),
    "stdin": sys.stdin.read(), "limits": resource.getrlimit(resource.RLIMIT_FSIZE),
    "threads": Path("/proc/self/status").read_text().partition("Threads:")[2].split()[0],
    "other": "missing" in sys.modules,
}))
"""
LASTS = """
import os, sys, time
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(file.name, sys.argv[1])
time.sleep(60)
"""


@pytest.fixture
def servers() -> Iterator[Servers]:
    with processes.servers(absent=("missing",)) as every:
        yield every


def begun(folder: Path, code: str) -> tuple[Start, Path]:
    """What `code` is started with, as `alone` by supervisor.py, and the file that it writes."""
    answer = folder / "answer"
    answer.mkdir(parents=True)
    (folder / "script.py").write_text(code)
    terms: dict[str, Any] = {"read": [str(folder)], "write": [str(answer)], "memory": 4 << 30}
    terms |= {"seconds": 60, "file": 1 << 20, "parent": os.getpid(), "files": True, "calls": False}
    view = folder.with_name(f"{folder.name}.view")
    view.mkdir(exist_ok=True)
    (folder / "terms.json").write_text(json.dumps(terms | {"view": str(view)}))
    file = answer / "it"
    start = Start(
        arguments=[str(folder / "terms.json"), str(folder / "script.py"), str(file)],
        directory=folder,
        environment={"HOME": str(folder), "LANG": "C.UTF-8"},
        stderr=(folder / "stderr").open("wb"),
    )
    return start, file


def probed(process: Process, start: Start, file: Path) -> dict[str, Any]:
    assert process.wait(60) == 0, Path(start.stderr.name).read_text()
    assert Path(start.stderr.name).read_text() == "said\n"
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_it_is_a_process_as_it_would_be_started_but_for_its_imports(
    servers: Servers, tmp_path: Path
) -> None:
    start, file = begun(tmp_path / "one", PROBE)
    alone = probed(processes.started(start), start, file)
    (tmp_path / "one").rename(tmp_path / "before")
    start, file = begun(tmp_path / "one", PROBE)
    forked = probed(servers.start(("colorsys",), start), start, file)
    if processes.FORKS:
        assert (alone.pop("colorsys"), forked.pop("colorsys")) == (False, True)
    assert forked == alone and not alone["other"]


@linux
def test_no_process_meets_what_another_left(servers: Servers, tmp_path: Path) -> None:
    for name in ("one", "two"):
        start, file = begun(tmp_path / name, PROBE)
        assert not probed(servers.start(("colorsys",), start), start, file)["changed"]


@linux
def test_what_one_has_imported_is_not_imported_again_by_who_needs_more(
    servers: Servers, tmp_path: Path
) -> None:
    loaded = "import sys; open(sys.argv[1], 'w').write(repr('wave' in sys.modules))"
    for name, imports in (
        ("less", ("colorsys",)),
        ("more", ("colorsys", "wave")),
        ("again", ("colorsys",)),
    ):
        start, file = begun(tmp_path / name, loaded)
        assert servers.start(imports, start).wait(60) == 0, Path(start.stderr.name).read_text()
        assert file.read_text() == str(name == "more")
    less, more = (
        servers.server(imports, start) for imports in (("colorsys",), ("colorsys", "wave"))
    )
    assert psutil.Process(more.pid).ppid() == less.pid


@linux
def test_where_the_first_server_is_gone_who_needs_more_imports_all(
    servers: Servers, tmp_path: Path
) -> None:
    start, file = begun(tmp_path / "one", PROBE)
    psutil.Process(servers.server(("colorsys",), start).pid).kill()
    assert probed(servers.start(("colorsys", "wave"), start), start, file)["colorsys"]


@linux
def test_temporary_files_go_where_the_process_is_told_though_an_import_asked_before(
    servers: Servers, tmp_path: Path
) -> None:
    """As TensorFlow's does, through this module."""
    code = "import sys, tempfile; open(sys.argv[1], 'w').write(tempfile.gettempdir())"
    start, file = begun(tmp_path / "one", code)
    own = dataclasses.replace(start, environment={**start.environment, "TMPDIR": str(file.parent)})
    assert servers.start(("absl.testing.absltest",), own).wait(60) == 0
    assert file.read_text() == str(file.parent)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 11)", -11), ("1 / 0", 1)],
)
def test_how_it_ends_comes_back(servers: Servers, tmp_path: Path, code: str, expected: int) -> None:
    start, _ = begun(tmp_path / "one", code)
    process = servers.start(("colorsys",), start)
    assert (process.wait(60), process.poll()) == (expected, expected)


def test_it_is_waited_for_as_long_as_is_said_and_can_be_killed(
    servers: Servers, tmp_path: Path
) -> None:
    start, file = begun(tmp_path / "one", LASTS)
    process = servers.start(("colorsys",), start)
    while not file.is_file():
        assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    process.kill()


@linux
def test_a_module_that_cannot_be_imported_is_the_process_to_tell(
    servers: Servers, tmp_path: Path
) -> None:
    start, _ = begun(tmp_path / "one", "import no_such_module")
    assert servers.start(("no_such_module",), start).wait(60) == 1
    assert (
        "ModuleNotFoundError: No module named 'no_such_module'"
        in Path(start.stderr.name).read_text()
    )


@linux
@pytest.mark.parametrize("how", ["dies of an import", "was killed"])
def test_where_the_server_is_gone_a_process_is_started(
    servers: Servers, tmp_path: Path, how: str
) -> None:
    start, file = begun(tmp_path / "first", PROBE)
    if how == "was killed":
        probed(servers.start(("colorsys",), start), start, file)
        server = servers.server(("colorsys",), start)
        psutil.Process(server.pid).kill()
        imports = ("colorsys",)
    else:
        imports = ("antigravity.no", "")
    start, file = begun(tmp_path / "one", PROBE)
    assert not probed(servers.start(imports, start), start, file)["colorsys"]


@linux
@pytest.mark.parametrize("how", ["closed", "killed"])
def test_all_end_with_who_asked_for_them(tmp_path: Path, how: str) -> None:
    """The process that asked is killed, or is done."""
    start, file = begun(tmp_path / "one", LASTS)
    code = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(processes.FORK_SERVER.parents[2])!r})
from pipeline.sandbox import processes
start = processes.Start(arguments={start.arguments!r}, directory=Path({str(tmp_path)!r}),
    environment={{}}, stderr=open({start.stderr.name!r}, "wb"))
with processes.servers(()) as servers:
    servers.server(("colorsys",), start)
    servers.start(("colorsys", "wave"), start)
    while not Path({str(tmp_path / "end")!r}).is_file():
        time.sleep(0.01)
"""
    asker = subprocess.Popen([sys.executable, "-c", code])
    while not file.is_file():
        assert asker.poll() is None
        time.sleep(0.01)
    process = psutil.Process(int(file.read_text()))
    every = [process, process.parent(), process.parent().parent()]
    if how == "killed":
        asker.kill()
    else:
        (tmp_path / "end").touch()
    asker.wait(60)
    assert psutil.wait_procs(every, timeout=30)[1] == []
