"""Where a stage's commands run: as the user's own, or confined, where the code is a stranger's."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.project import ROOT
from pipeline.provenance import git
from pipeline.reproduce.code import Ground, Repository, environ
from pipeline.run import children
from pipeline.run.dvc_process import RUNS_STAGES
from pipeline.sandbox import launcher as sandbox_launcher
from pipeline.sandbox.programs import LAUNCHER, NEEDED

FOR_NETWORK = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/ssl"),
    *(
        "/etc/ca-certificates",
        "/etc/pki",
        "/etc/services",
        "/etc/protocols",
        "/run/systemd/resolve",
    ),
)
DEVICES = ("/dev/kfd", "/dev/dri", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
LOCALE = ("LANG", "LANGUAGE", "TZ")
PACKAGES = ("site-packages", "dist-packages")
"""Folders on Python's path that hold libraries; another one may be a user's home."""
PROGRAMS = ("sh", "git", "make")


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs commands in the clone."""

    ground: Ground
    confined: bool
    """Whether some of the code is a stranger's."""
    network: bool = False
    gpu: bool = False

    def run(
        self,
        command: Sequence[str],
        at: Path,
        python: Path | None = None,
        stdout: IO[bytes] | int = subprocess.PIPE,
        stderr: int = subprocess.STDOUT,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs the command, with `python` the interpreter that comes first on PATH."""
        if self.confined:
            terms = self.ground.scratch / "terms.json"
            terms.write_text(json.dumps(self._terms(python)))
            command = [sys.executable, "-IB", str(LAUNCHER), str(terms), *command]
        process = subprocess.Popen(
            command,
            cwd=at,
            env=self.environment(python),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            said, errors = process.communicate()
        except BaseException:
            children.end(process)
            raise
        return subprocess.CompletedProcess(command, process.returncode, said, errors)

    def environment(self, python: Path | None) -> dict[str, str]:
        """Returns the user's variables, or some that hold nothing of the user's but where programs
        lie, and the language."""
        values = environ() | {RUNS_STAGES: str(os.getpid())}
        if self.confined:
            home = self.ground.home
            (home / "tmp").mkdir(parents=True, exist_ok=True)
            named = {n: v for n, v in values.items() if n in LOCALE or n.startswith("LC_")}
            values = {"PATH": values.get("PATH", os.defpath), "HOME": str(home), **named}
            values |= {"TMPDIR": str(home / "tmp"), "DVC_SYSTEM_CONFIG_DIR": str(home)}
            values |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        if python is not None:
            values["PATH"] = f"{python.parent}:{values.get('PATH', '')}"
        return values

    def description(self) -> str:
        """Returns one line: what is confined, and what is not on this system."""
        lacking = sandbox_launcher.lacking()
        held = [] if "files" in lacking else [f"writes only to {self.ground.scratch} (Landlock)"]
        held.append("a clean environment with no variable and no settings of yours")
        reaches = ["memory, time and disk", "what it reads of git's objects and the libraries"]
        if self.network:
            reaches.insert(0, "the network, as asked for")
        elif "calls" not in lacking:
            held.append("no network (seccomp)")
        reaches += [f"{what} ({why})" for what, why in lacking.items()]
        return f"confined: {'; '.join(held)}. NOT CONFINED: {'; '.join(reaches)}."

    def _terms(self, python: Path | None) -> dict[str, Any]:
        lacking, ground = sandbox_launcher.lacking(), self.ground
        links = ground.project / ".venv"
        read = [*NEEDED, *(FOR_NETWORK if self.network else ()), str(ground.git_dir)]
        read += [*python_places(python), *_programs(), *_objects(ground.source)]
        return {
            "read": read,
            "write": [str(ground.clone), str(ground.home)],
            "links": [str(links)] if links.is_dir() and not links.is_symlink() else [],
            "devices": [*DEVICES, *map(str, Path("/dev").glob("nvidia[0-9]*"))] if self.gpu else [],
            "network": self.network,
            "parent": os.getpid(),
            "files": "files" not in lacking,
            "calls": "calls" not in lacking,
        }


def python_places(python: Path | None) -> list[str]:
    """Returns where interpreter, modules and libraries lie, but for the work trees that are on the
    path."""
    packages = [place for place in sys.path if Path(place).name in PACKAGES]
    places = [sys.prefix, sys.base_prefix, *packages]
    if python is not None:
        for program in (python, python.resolve()):
            places.append(str(program.parent))
            places += [str(program.parents[1])] if program.parent.name == "bin" else []
    own = (ROOT, Path.cwd())
    there = [Path(place).resolve() for place in places if place]
    return [str(place) for place in there if not any(each.is_relative_to(place) for each in own)]


def _programs() -> list[str]:
    programs = [shutil.which(name) for name in PROGRAMS]
    return [str(Path(path).resolve().parent) for path in programs if path]


def _objects(source: Repository) -> list[str]:
    """Returns the directories that hold the commits, of which the clone's git borrows."""
    waiting, seen = [git.line(source.top, "rev-parse", "--git-path", "objects") or ""], []
    while waiting:
        place = (source.top / waiting.pop()).resolve()
        if str(place) not in seen:
            seen.append(str(place))
            alternates = place / "info/alternates"
            named = alternates.read_text().splitlines() if alternates.is_file() else []
            waiting += [str(place / each) for each in named if not each.startswith("#")]
    return seen
