"""Runs as `python` or `dvc`, first on the path of the commands that tests run: hands what is
preloaded to its parent process and ends as that one's child did, and becomes the real program for
all else.

Only modules that Python has built in are imported, so that it starts in hundredths of a second;
`preloaded.served` writes above it which interpreter that is, and the real programs' folder.
"""

import _signal
import _socket
import posix
import sys

FRAMEWORK = ("pipeline.train", "pipeline.checkpoint", "pipeline.export_complete", "pipeline.join")
"""What imports the framework of the model in params.yaml."""
MLFLOW = ("pipeline.log_to_mlflow", "pipeline.relog")
SWEEP = ["-m", "pipeline", "-m"]
"""Logs a run for all of its jobs."""
RANKS = "pipeline.training.ranks.worker"
SERVED = "mlflow.server.fastapi_app:app"
DVC = (
    *("add", "checkout", "commit", "config", "dag", "diff", "fetch", "init", "metrics", "params"),
    *("plots", "push", "pull", "remote", "repro", "status"),
)
EXPERIMENTS = ("apply", "list", "run", "show")
"""Commands of DVC that start no process that outlives them, and those of `dvc exp`."""
QUEUED = ("--queue", "--run-all")
"""With which `dvc exp run` does start one."""
ENCODING = sys.getfilesystemencoding()
PASSED_ON = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2)


def parent(program, words):
    """Returns the name of the parent that has imported what the words need, or null."""
    if program == "dvc":
        return dvc(words)
    if forks(words):
        return f"sandbox {words[4]}"
    module = words[1] if words[:1] == ["-m"] and len(words) > 1 else ""
    if words[1:3] == ["mlflow", "server"] or (module == "uvicorn" and SERVED in words):
        return "mlflow server"
    if module == RANKS:
        return "ranks"
    if module in ("dvc", "pipeline.run.dvc"):
        return dvc(words[2:])
    if module in FRAMEWORK:
        return framework()
    if module in MLFLOW or words[:3] == SWEEP:
        return "mlflow"
    return "plain" if module.partition(".")[0] == "pipeline" else None


def dvc(words):
    """Returns its parent where the words are a command that ends with all it has started."""
    if words[:1] == ["exp"] and words[1:2] and words[1] in EXPERIMENTS:
        return None if any(word in QUEUED for word in words) else "dvc"
    return "dvc" if words[:1] and words[0] in DVC else None


def forks(words):
    """Whether it is the sandbox' fork server, which is given one descriptor more than the streams:
    `-I fork_server.py DESCRIPTOR ABSENT MODULES`."""
    return words[:1] == ["-I"] and words[1].endswith("/sandbox/fork_server.py")


def framework():
    """Returns that of the model in params.yaml, if it is one that can be read."""
    try:
        with open("params.yaml", "rb") as file:  # noqa: PTH123
            section = file.read().partition(b"\nmodel:\n")[2]
    except OSError:
        return None
    for line in section.split(b"\n"):
        if not line.startswith(b"  "):
            return None
        if line.startswith(b"  framework: "):
            return line[13:].decode()
    return None


def job(words):
    """Returns all of this process that its stand-in must have, as pipeline.preloading reads it."""
    umask = posix.umask(0)
    posix.umask(umask)
    numbers = [umask, posix.getpgid(0), posix.getpid(), posix.getcwd(), len(words)]
    variables = [name + b"=" + value for name, value in posix.environ.items()]
    parts = [str(each).encode(ENCODING, "surrogateescape") for each in [*numbers, *words]]
    return b"\0".join([*parts, *variables])


def handed_over(folder, name, words):
    """Returns the exit code of a parent's child, or null where the parent refuses. A signal waits
    until there is somebody to pass it on to."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, PASSED_ON)
    try:
        server = taken(folder, name, words)
        if server is None:
            return None

        def pass_on(number, _):
            try:
                server.send(bytes([number]))
            except OSError:  # its stand-in has ended
                return

        for number in PASSED_ON:
            _signal.signal(number, pass_on)
    finally:
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, PASSED_ON)
    return int(server.recv(16) or -_signal.SIGKILL)


def taken(folder, name, words):
    """Returns a socket to the parent that has taken it, or null where none does."""
    try:
        server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        server.connect(f"{folder}/{name}.socket")
        numbers = [0, 1, 2, *map(int, words[2:3] if forks(words) else ())]
        packed = b"".join(number.to_bytes(4, sys.byteorder) for number in numbers)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)
        server.sendmsg([job(words)], [rights])
        return server if server.recv(200) == b"taken" else None
    except OSError:
        return None


def main():
    folder, _, program = sys.argv[0].rpartition("/")
    words = sys.argv[1:]
    name = parent(program, words)
    if name:
        code = handed_over(folder, name, [program, *words] if program == "dvc" else words)
        if code is not None and code < 0:
            if -code in PASSED_ON:
                _signal.signal(-code, _signal.SIG_DFL)
            posix.kill(posix.getpid(), -code)
        if code is not None:
            posix._exit(code)
    real = f"{REAL}/{program}"  # noqa: F821, which stands above
    # A launcher is told what to run where nothing of this folder can be seen.
    posix.execv(real, [real, *(real if word == sys.argv[0] else word for word in words)])


main()
