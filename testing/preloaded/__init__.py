"""Commands that begin with their imports done.

`python` and `dvc` come first on the path of what tests run. They hand a stage, a command of ours or
of DVC to a process that has imported what it needs (a parent), and end as its child does; the child
has their arguments, directory, environment, streams, umask and process group, and gets their
signals. What is not preloaded, or would be another process there (other limits, name spaces, or
variables that an import may have read), is run by the real interpreter.

Where the process itself is what is tested, its start, its environment or its death, tests leave
this out: `Project.run(..., fresh=True)`, or `sys.executable` where no fixture has set it to
`python()`.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline import formats
from pipeline.sandbox.supervisor import environment
from pipeline.sandbox.worker.loading import UNUSED
from pipeline.tracking.requests import ENVIRONMENT

NAME = "PRELOADED"
"""The variable that names the folder of `python`, `dvc` and the sockets."""
HERE = Path(__file__).parent
REAL = Path(sys.executable).parent


@contextlib.contextmanager
def served() -> Iterator[None]:
    """Parents for this process and for all that it starts, until it ends."""
    if not sys.platform.startswith("linux"):
        yield
        return
    before = os.environ.get(NAME)
    folder = Path(tempfile.mkdtemp(prefix="preloaded-"))
    client = f"#!{sys.executable} -ISE\nREAL = {str(REAL)!r}\n{(HERE / 'client.py').read_text()}"
    for program in ("python", "dvc"):
        (folder / program).write_text(client)
        (folder / program).chmod(0o755)
    server = _started(folder)
    os.environ[NAME] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(NAME)
        os.environ |= {NAME: before} if before else {}
        server.communicate()


def _started(folder: Path) -> "subprocess.Popen[bytes]":
    """It ends when its standard input does, which nobody else holds open."""
    surroundings = json.dumps(_surroundings(folder))
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), str(folder), surroundings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "log").open("w"),
        process_group=0,
    )
    assert server.stdout
    if server.stdout.readline() != b"ready\n":
        raise RuntimeError((folder / "log").read_text())
    return server


def _surroundings(folder: Path) -> dict[str, object]:
    declared = [formats.declared(name).imports for name in formats.names()]
    return {
        "mlflow": ENVIRONMENT,
        "sandbox": environment(1, folder / "home"),
        "absent": UNUSED,
        "servers": sorted({imports for imports in declared if imports}),
    }


def refused() -> Counter[str]:
    """Returns how many commands no parent took until now, by parent and reason."""
    lines = Path(os.environ.get(NAME, os.devnull), "refused")
    return Counter(lines.read_text().splitlines() if lines.is_file() else ())


def warm(*parents: str) -> None:
    """Returns once these have done their imports, which would else count to who comes first."""
    for parent in parents if NAME in os.environ else ():
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
            server.connect(f"{os.environ[NAME]}/{parent}.socket")
            server.shutdown(socket.SHUT_WR)
            server.recv(1)


def python() -> str:
    """Returns the program that stands for `sys.executable`."""
    return str(Path(os.environ.get(NAME, REAL)) / "python")


def path() -> str:
    """Returns a PATH on which these programs are found first, then the environment's."""
    folders = [os.environ.get(NAME, ""), str(REAL), os.environ["PATH"]]
    return os.pathsep.join(filter(None, folders))


def run(parent: str, cwd: Path, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs `python *words` in `cwd`; the words are `-m` or `-c` and on, with `-I` before or not."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        everything = {**os.environ, **environ}
        code = _job(parent, cwd, list(words), everything, (stdout.fileno(), stderr.fileno()))
        if code is None:
            command = [sys.executable, *words]
            done = subprocess.run(command, cwd=cwd, env=everything, stdout=stdout, stderr=stderr)
            code = done.returncode
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode())
        return subprocess.CompletedProcess(["python", *words], code, *texts)


def _job(
    parent: str, cwd: Path, words: list[str], environ: dict[str, str], streams: tuple[int, int]
) -> int | None:
    """Returns the exit code, or null where there is no such parent or it refuses."""
    if NAME not in os.environ:
        return None
    variables = [f"{name}={value}" for name, value in environ.items()]
    parts = [0o022, os.getpgid(0), os.getpid(), cwd, len(words), *words, *variables]
    job = os.fsencode("\0".join(map(str, parts)))
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server,
        Path(os.devnull).open() as nothing,
    ):
        server.connect(f"{os.environ[NAME]}/{parent}.socket")
        socket.send_fds(server, [job], [nothing.fileno(), *streams])
        return int(server.recv(16)) if server.recv(200) == b"taken" else None
