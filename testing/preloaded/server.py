"""Parents that have imported what takes long, and fork a child for each job.

    python server.py FOLDER SURROUNDINGS

listens at a socket a parent in FOLDER, and starts each when it is first asked. All end when the
standard input of this process does, which whoever started it holds open: also when that is killed;
FOLDER is then removed. SURROUNDINGS is what parents.py reads, as JSON.
"""

import contextlib
import gc
import importlib
import marshal
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
from pathlib import Path

import compiled
from parents import ABSENT, IMPORTS, SANDBOXES, SET_BEFORE, foreign

ROOT = Path(__file__).resolve().parents[2]
SPACES = ("mnt", "net", "pid", "user", "ipc", "uts")


def main(folder: str) -> None:
    """Waits for the first job of each parent, which then takes the socket over."""
    del sys.path[0]
    waiting = {}
    for name in IMPORTS:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(f"{folder}/{name}.socket")
        listener.listen(64)
        waiting[listener] = name
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([0, *waiting], [], [])
        if 0 in ready:
            for _ in range(len(IMPORTS) - len(waiting)):
                os.wait()
            shutil.rmtree(folder)
            return
        for listener in ready:
            name = waiting.pop(listener)
            if os.fork() == 0:
                for other in waiting:
                    other.close()
                _preload(name)
                _child(Parent(name, listener, folder).job())
                return
            listener.close()


def _preload(name: str) -> None:
    if name in SANDBOXES:
        os.environ.clear()
    os.environ |= SET_BEFORE.get(name, {})
    absent = ABSENT.get(name, ())
    sys.modules.update(dict.fromkeys(absent))
    for module in IMPORTS[name]:
        importlib.import_module(module)
        if module.partition(".")[0] == name:
            for each in absent:
                sys.modules.pop(each, None)
    for each in absent:
        if sys.modules.get(each, each) is None:
            del sys.modules[each]
    # MLflow's entry point brings in the installed pipeline; a job's is that of its folder.
    for each in [each for each in sys.modules if each.partition(".")[0] == "pipeline"]:
        del sys.modules[each]
    compiled.hand_out(ROOT)
    if threading.active_count() > 1:
        raise RuntimeError(f"{name}: an import has started a thread, which no fork would have")
    gc.freeze()


class Parent:
    """What has imported it all does nothing but fork, pass signals on and tell exit codes."""

    def __init__(self, name: str, listener: socket.socket, folder: str):
        self.name, self.listener, self.folder = name, listener, folder
        self.poll = select.poll()
        self.clients: dict[int, tuple[socket.socket, int]] = {}
        """By the client's descriptor: its socket and the child."""
        self.children: dict[int, int] = {}
        """By the child's descriptor: the client's."""
        for descriptor in (0, listener.fileno()):
            self.poll.register(descriptor, select.POLLIN)

    def job(self) -> dict:
        """Returns in a child, with the job that it is there for."""
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor == 0:
                    self._end()
                elif descriptor == self.listener.fileno():
                    if job := self._begun(self.listener.accept()[0]):
                        return job
                elif descriptor in self.clients:
                    self._signalled(*self.clients[descriptor])
                elif descriptor in self.children:
                    self._ended(descriptor)

    def _end(self) -> None:
        for _, child in self.clients.values():
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    def _begun(self, client: socket.socket) -> dict | None:
        try:
            content, descriptors, _, _ = socket.recv_fds(client, 1 << 20, 4)
        except ConnectionResetError:
            content, descriptors = b"", []
        if not content:  # it was killed before it had said what it wants
            client.close()
            return None
        job = marshal.loads(content) | {"streams": descriptors, "folder": self.folder}
        if reason := _unlike(job, client) or foreign(self.name, job["environ"]):
            with Path(self.folder, "refused").open("a") as refused:
                refused.write(f"{self.name}: {reason}\n")
            _tell(client, reason)
            client.close()
        elif (child := os.fork()) == 0:
            for descriptor in (self.listener.fileno(), client.fileno(), *self.clients):
                os.close(descriptor)
            for descriptor in self.children:
                os.close(descriptor)
            return job
        else:
            _tell(client, "taken")
            watched = os.pidfd_open(child)
            self.clients[client.fileno()] = client, child
            self.children[watched] = client.fileno()
            self.poll.register(client.fileno(), select.POLLIN)
            self.poll.register(watched, select.POLLIN)
        for descriptor in descriptors:
            os.close(descriptor)
        return None

    def _signalled(self, client: socket.socket, child: int) -> None:
        """A client that is gone was killed, and its child is, too."""
        try:
            message = client.recv(16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # a number that was another client's a moment ago
        except ConnectionResetError:  # it had not read the last answer
            message = b""
        os.kill(child, message[0] if message else signal.SIGKILL)
        if not message:
            self.poll.unregister(client.fileno())

    def _ended(self, watched: int) -> None:
        client, child = self.clients.pop(self.children.pop(watched))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.poll.unregister(watched)
        os.close(watched)
        with contextlib.suppress(KeyError):  # it is gone, and nothing was expected of it any more
            self.poll.unregister(client.fileno())
        _tell(client, str(code))
        client.close()


def _tell(client: socket.socket, word: str) -> None:
    """Says it to a client, which may be gone; who watches its socket sees that."""
    with contextlib.suppress(OSError):
        client.send(word.encode())


def _unlike(job: dict, client: socket.socket) -> str | None:
    """Returns what of the client no child of this process would have."""
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, *owner = struct.unpack("3i", credentials)
    try:
        if owner != [os.getuid(), os.getgid()]:
            return "owner"
        for what, of in LIKE.items():
            if of(pid) != of(os.getpid()):
                return what
    except OSError as fault:
        return str(fault)
    return None


def _namespaces(pid: int) -> list[str]:
    return [str(Path(f"/proc/{pid}/ns/{space}").readlink()) for space in SPACES]


def _limits(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


LIKE = {
    "session": os.getsid,
    "namespaces": _namespaces,
    "limits": _limits,
    "affinity": os.sched_getaffinity,
}


def _child(job: dict) -> None:
    """Becomes what `python` would be with these words, here and now."""
    for number, descriptor in enumerate(job["streams"][:3]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.setpgid(0, job["group"])
    os.umask(job["umask"])
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environb.update(job["environ"])
    tempfile.tempdir = None
    words = job["words"]
    options, words = (words[:1], words[1:]) if words[0] == "-I" else ([], words)
    if job["streams"][3:]:
        script, _, *arguments = words
        sys.argv = [script, str(job["streams"][3]), *arguments]
        runpy.run_path(script, run_name="__main__")
    elif words[0].startswith("-"):
        _interpret(words, job, isolated=bool(options))
    else:
        script = Path(sys.executable).with_name(words[0])
        sys.argv = [str(script), *words[1:]]
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name="__main__")


def _interpret(words: list[str], job: dict, isolated: bool) -> None:
    """`-m` or `-c`; what `sys.executable` starts comes to a parent again, as far as it can."""
    kind, program, *arguments = words
    if not isolated:
        path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [job["cwd"] if kind == "-m" else "", *filter(None, path)]
    sys.argv, sys.orig_argv = [kind, *arguments], [sys.executable, *job["words"]]
    if kind == "-m":
        sys.executable = f"{job['folder']}/python"
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main(sys.argv[1])
