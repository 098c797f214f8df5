"""Processes that begin with a framework imported.

A parent imports the framework once and does nothing with it. Each process is a fork of that parent
and runs what `python` runs with the same arguments, in its own directory and with its own copy of
the project's code.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

IMPORTS = {
    "pytorch": ("torch._dynamo", "sklearn.metrics", "hydra.utils"),
    "keras": ("tensorflow", "keras", "sklearn.metrics", "hydra.utils"),
}
KERAS = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
"""What pipeline.frameworks.keras sets before it imports Keras."""
START = dict(os.environ)
OF_A_TEST = ("PYTEST_CURRENT_TEST", "FAULTS_SHARED")
"""Names of variables that no import reads."""

PARENT = """
import gc, importlib, json, os, runpy, sys

answers = os.fdopen(os.dup(1), "w")
absent = ("matplotlib", "pandas", "sklearn")  # while Keras is imported, as the pipeline does it
sys.modules.update(dict.fromkeys(absent if "keras" in sys.argv else ()))
for name in sys.argv[1:]:
    importlib.import_module(name)
    if name == "keras":
        for each in absent:
            del sys.modules[each]
gc.freeze()
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        streams = [os.devnull, job["stdout"], job["stderr"]]
        for number, path in enumerate(streams):
            os.dup2(os.open(path, os.O_APPEND | (os.O_WRONLY if number else os.O_RDONLY)), number)
        os.chdir(job["cwd"])
        os.environ |= job["environ"]
        del sys.path[0]
        if "-I" not in job["options"]:
            path = job["environ"].get("PYTHONPATH", "")
            sys.path[:0] = [job["cwd"], *filter(None, path.split(os.pathsep))]
        kind, program, *arguments = job["command"]
        sys.argv = [program if kind == "-m" else kind, *arguments]
        if kind == "-m":
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
        break
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
"""


def run(
    framework: str, cwd: Path, *words: str, merged: bool = False, **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Runs `python *words` in `cwd`; the words are `-m` or `-c` and on, with `-I` before or not.

    `merged`: stderr comes in `.stdout`, in the order of what was written.
    """
    parent = _parent(framework)
    assert parent.stdin and parent.stdout
    with tempfile.NamedTemporaryFile() as stdout, tempfile.NamedTemporaryFile() as stderr:
        job = {
            "cwd": str(cwd),
            "options": [word for word in words[:1] if word == "-I"],
            "command": words[1:] if words[0] == "-I" else words,
            "stdout": stdout.name,
            "stderr": stdout.name if merged else stderr.name,
            "environ": environ,
        }
        parent.stdin.write(json.dumps(job) + "\n")
        parent.stdin.flush()
        answer = parent.stdout.readline()
        if not answer:
            raise RuntimeError(f"what imports {framework} for the tests ended: {parent.wait()}")
        texts = (Path(file.name).read_text() for file in (stdout, stderr))
        return subprocess.CompletedProcess(["python", *words], int(answer), *texts)


def environment_is_as_at_the_start() -> bool:
    """Returns False where a test has changed what imports may read."""
    return _lasting(dict(os.environ)) == _lasting(START)


def _lasting(environ: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in OF_A_TEST}


@cache
def _parent(framework: str) -> "subprocess.Popen[str]":
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *IMPORTS[framework]],
        env=START | (KERAS if framework == "keras" else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(parent.kill)
    return parent
