"""A command of the user's own trains: it runs to its end, and what it leaves is taken in as a
checkpoint that was made elsewhere, at its epoch, with the history that it logged.

It writes to one folder, {output}, of which nothing becomes part of the training: files of other
libraries hold clocks and hosts. The folder and the log of what was printed lie beside the training
afterwards, until the next command runs.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pipeline.config.params import TrainParams
from pipeline.errors import CannotRun, ModelError
from pipeline.run import command as command_code
from pipeline.run import start
from pipeline.run.arguments import params_file
from pipeline.training.command import left, process
from pipeline.training.command.words import arguments, words

FOLDER = "command"
"""{output}, in the training's folder while it runs."""


def train(data: Path, output: Path, params: TrainParams) -> Path:
    """Runs the command; returns its folder. Raises ModelError for one that fails."""
    folder, log = output / FOLDER, beside(output, "log")
    values = {"train": params_file()["train"]}
    command_code.demand_recorded(command_code.code(values))
    again = folder.is_dir() and any(folder.iterdir())
    folder.mkdir(exist_ok=True)
    resume = left.last_whole(folder, params.train.checkpoint) if again else None
    if again:
        print(f"{folder}: as it was left; going on after {resume or 'no checkpoint'}", flush=True)
    file = Path(tempfile.gettempdir()) / "arguments.json"
    places = {"output": folder, "data": data, "arguments": file, "resume": resume or ""}
    places["start"] = _start(params.train.start)
    texts = {name: str(place) for name, place in places.items()}
    file.write_text(json.dumps(arguments(params.train, texts), indent=1, default=str) + "\n")
    called = words(params.train, texts)
    environ = environment(command_code.variables(values["train"]))
    _demand_program(called[0], environ)
    before = set(output.iterdir())
    with log.open("ab" if again else "wb") as stream:
        ended = process.run(called, environ, stream)
    if ended.code:
        last = f": {ended.last_line}" if ended.last_line else ", and printed nothing"
        raise ModelError(f"train.command: {ended.how}{last} (all of it: {log})")
    if strays := sorted(set(output.iterdir()) - before):
        raise ModelError(
            f"train.command: wrote {strays[0]}, expected what it writes in {{output}}, {folder}"
        )
    return folder


def _start(digest: str | None) -> Path | str:
    """Returns the checkpoint in train.start under its own name, by whose suffix some libraries know
    what it is; an empty text without one."""
    if digest is None:
        return ""
    folder = Path(tempfile.mkdtemp(prefix="start-"))
    link = folder / str(start.known(digest)["name"])
    link.symlink_to(start.place(digest).resolve())
    return link


def put_aside(output: Path) -> None:
    """Moves what the command left out of the training, in place of what the last one did."""
    target = beside(output, FOLDER)
    shutil.rmtree(target, ignore_errors=True)
    (output / FOLDER).rename(target)


def beside(output: Path, name: str) -> Path:
    """Returns where a thing of the command's lies that is no part of the training."""
    return output.with_name(f"{output.name}.{name}")


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the user's own, with what makes one run like the other, modules found in the
    repository's root, and output shown at once."""
    paths = [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PATH": os.pathsep.join(programs),
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **own, **variables}


def _demand_program(program: str, environ: Mapping[str, str]) -> None:
    if shutil.which(program, path=environ["PATH"]) is None:
        raise CannotRun(
            f"train.command: found the program {program}, which is not installed; install it, or "
            "name one that is"
        )
