"""Parents that have imported what takes long, and fork a child for each job.

    python server.py FOLDER SURROUNDINGS

listens at a socket a parent in FOLDER, and starts each when it is first asked. All end when the
standard input of this process does, which whoever started it holds open: also when that is killed;
FOLDER is then removed. SURROUNDINGS is what parents.py reads, as JSON.
"""

import contextlib
import gc
import importlib
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import compiled  # noqa: E402
import composed  # noqa: E402
import ended  # noqa: E402
import huge  # noqa: E402
import joined  # noqa: E402
import migrated  # noqa: E402
import parsed  # noqa: E402
import templates  # noqa: E402
import torchlib  # noqa: E402
from jobs import next_job  # noqa: E402
from parents import ABSENT, IMPORTS, MLFLOW, SANDBOXES, SET_BEFORE, foreign  # noqa: E402

from pipeline.preloading.parent import Job, become  # noqa: E402
from pipeline.run.dvc_process import parent_of  # noqa: E402


def main(folder: str) -> None:
    """Waits for the first job of each parent, which then takes the socket over."""
    del sys.path[:2]
    waiting = {}
    for name in IMPORTS:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(f"{folder}/{name}.socket")
        listener.listen(64)
        waiting[listener] = name
    compiled.hand_out(ROOT)
    compiled.hand_out_methods(ROOT)
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
                _preload(name, folder)
                job = next_job(listener, _refusing(name, folder), 0)
                _become(job, name)
                ended.after(partial(_child, job, folder))
            listener.close()


def _refusing(name: str, folder: str) -> Callable[[Job], str | None]:
    """Returns what refuses a job, and notes why."""

    def refuse(job: Job) -> str | None:
        try:
            reason = ", ".join(joined.lasting(job)) or foreign(name, job["environ"])
        except OSError as fault:  # the client has ended
            reason = str(fault)
        if reason:
            with Path(folder, "refused").open("a") as refused:
                refused.write(f"{name}: {reason}\n")
        return reason

    return refuse


def _preload(name: str, folder: str) -> None:
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
    if "ruamel.yaml" in IMPORTS[name]:
        parsed.once(Path(folder, "parsed"))
    if name == "dvc":
        sys.modules["dvc.cli.parser"].get_main_parser()  # which it keeps
    if "sklearn.metrics" in IMPORTS[name]:
        sys.modules["sklearn.metrics"].accuracy_score([0], [0])  # looks for plug-ins, once
    if "hydra" in sys.modules:
        composed.once(Path(folder, "composed"))
    if "jinja2" in sys.modules:
        templates.once(Path(folder, "templates"))
    if name == "pytorch":
        torchlib.read()
    if name in MLFLOW:
        migrated.once()
    if threading.active_count() > 1:
        raise RuntimeError(f"{name}: an import has started a thread, which no fork would have")
    gc.freeze()
    huge.collapse()


def _become(job: Job, parent: str) -> None:
    """In lists of processes it has the client's number and the name of its program, as the
    pipeline's own have it."""
    above = parent_of(job["client"])
    joined.join(job)
    become(job)
    program = next((each for each in job["words"] if each not in ("-I", "-m")), "")
    name = program.removesuffix(".py").rpartition("/")[2].rpartition(".")[2]
    Path("/proc/self/comm").write_text(f"{job['client']} {name}"[:15])
    if parent == "ranks" and above:
        threading.Thread(target=_end_with, args=(above,), daemon=True).start()


def _end_with(process: int) -> None:
    """A rank asks the kernel to be killed with its parent, which would be whoever stands between it
    and its client."""
    poll = select.poll()
    with contextlib.suppress(ProcessLookupError):  # it has ended
        poll.register(os.pidfd_open(process), select.POLLIN)
        poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)


def _child(job: Job, folder: str) -> None:
    """Does what `python` would do with these words, here and now."""
    words = job["words"]
    options, words = (words[:1], words[1:]) if words[0] == "-I" else ([], words)
    if job["streams"][3:]:
        script, _, *arguments = words
        sys.argv = [script, str(job["streams"][3]), *arguments]
        runpy.run_path(script, run_name="__main__")
    elif words[0].startswith("-"):
        _interpret(words, job, folder, isolated=bool(options))
    else:
        script = Path(sys.executable).with_name(words[0])
        sys.argv = [str(script), *words[1:]]
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name="__main__")


def _interpret(words: list[str], job: Job, folder: str, isolated: bool) -> None:
    """`-m` or `-c`; what `sys.executable` starts comes to a parent again, as far as it can."""
    kind, program, *arguments = words
    if not isolated:
        path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [job["cwd"] if kind == "-m" else "", *filter(None, path)]
    sys.argv, sys.orig_argv = [kind, *arguments], [sys.executable, *job["words"]]
    if not isolated:
        sys.executable = f"{folder}/python"
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main(sys.argv[1])
