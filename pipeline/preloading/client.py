"""A stage's own process: starts the server, and hands over what it is there for."""

import _thread
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import NoReturn

from pipeline.preloading.imports import IMPORTS
from pipeline.run.dvc_process import processes_up_to_dvc

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
TAKEN = b"taken"
LONGEST_ANSWER = 200
"""Bytes."""
ORDER = ("compose", "prepare", "train", "checkpoint", "export-complete", "verify", "log-to-mlflow")
BEFORE_TRAINING = ("compose", "prepare")
BEYOND_TARGETS = {"-p", "--pipeline", "-P", "--all-pipelines", "--downstream"}
"""Options by which DVC runs stages after those that it is asked for."""


def demand_server(names: list[str]) -> None:
    """Starts a server of this DVC's for the names that none is there for, if this DVC runs what
    gains by it: `compose` may have changed the framework."""
    dvc = processes_up_to_dvc()[-1][1]
    last = _last_stage(dvc)
    if not set(names) <= IMPORTS.keys() or last in BEFORE_TRAINING:
        return
    listeners: dict[str, socket.socket] = {}
    for name in [each for each in names if each != "mlflow" or last == ORDER[-1]]:
        listener = _socket()
        try:
            listener.bind(_address(dvc, name))
        except OSError:  # there is one
            listener.close()
            continue
        listener.listen(16)
        listener.set_inheritable(True)
        listeners[name] = listener
    if not listeners:
        return
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)
    copies = [(os.POSIX_SPAWN_DUP2, 0, number) for number in (1, 2)]
    words = [sys.executable, "-m", "pipeline.preloading.server", str(dvc), last]
    words += [f"{name}={listener.fileno()}" for name, listener in listeners.items()]
    os.posix_spawn(words[0], words, os.environ, file_actions=[nothing, *copies], setpgroup=0)
    for listener in listeners.values():
        listener.close()


def _last_stage(dvc: int) -> str:
    """Returns the last stage that DVC runs, by what it was asked for."""
    words = Path(f"/proc/{dvc}/cmdline").read_text().split("\0")[:-1]
    after = words[words.index("repro") + 1 :] if "repro" in words else []
    targets = {word for word in after if not word.startswith("-")}
    if not targets or not targets <= {*ORDER} or BEYOND_TARGETS & {*after}:
        return ORDER[-1]
    return max(targets, key=ORDER.index)


def _socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _address(dvc: int, name: str) -> str:
    """Returns a name without a file, which only this run of DVC has: a process number comes again,
    but not begun at the same moment."""
    began = Path(f"/proc/{dvc}/stat").read_text().rpartition(")")[2].split()[19]
    return f"\0complete-models {os.getuid()} {dvc} {began} {name}"


def hand_over(name: str) -> None:
    """Ends this process as its stand-in ends; returns where there is none."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    if server := _taken(name):
        _thread.start_new_thread(_pass_on, (server,))
        _end(int(server.recv(16) or -signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)


def _taken(name: str) -> socket.socket | None:
    """Returns a socket to the process that runs it, once it has what it imports."""
    umask = os.umask(0)
    os.umask(umask)
    words = sys.orig_argv[1:]
    variables = [f"{name}={value}" for name, value in os.environ.items()]
    parts = [umask, os.getpgid(0), os.getpid(), Path.cwd(), len(words), *words, *variables]
    job = os.fsencode("\0".join(map(str, parts)))
    server = _socket()
    try:
        server.connect(_address(processes_up_to_dvc()[-1][1], name))
        credentials = server.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("3i", credentials)[1] != os.getuid():
            return None  # anybody may have taken the name
        socket.send_fds(server, [job], [0, 1, 2])
        return server if server.recv(LONGEST_ANSWER) == TAKEN else None
    except OSError:
        return None


def _pass_on(server: socket.socket) -> None:
    """Passes signals on that came to this process alone: the terminal sends them to both."""
    while True:
        came = signal.sigwaitinfo(PASSED_ON)
        if came.si_code <= 0:
            server.send(bytes([came.si_signo]))


def _end(code: int) -> NoReturn:
    if code < 0:
        if -code in PASSED_ON:
            signal.signal(-code, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        os.kill(os.getpid(), -code)
    os._exit(code)
