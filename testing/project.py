"""A copy of the project with its own git and DVC, in which commands run as a user types them."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from testing import in_memory, preloaded

ROOT = Path(__file__).parent.parent
PARTS = ("conf", "data", "loops", "models", "pipeline", "dvc.yaml", "params.yaml", "conf.lock.yaml")
PARTS += (".dvcignore", ".gitignore", "requirements.lock")
TINY = ("experiment=smoke", "export.attempt=[]", "train.epochs=2")
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
PACKAGED = (os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin")))


def needs(program: str) -> Path:
    """A program of the distribution; without it a test is skipped, and fails in CI.

    `needs("chromium")`, `needs("initdb")`.
    """
    if found := shutil.which(program, path=os.pathsep.join(PACKAGED)):
        return Path(found)
    reason = f"{program} is not installed; `sudo scripts/install_servers` installs what it needs"
    return pytest.fail(reason) if os.environ.get("NOTHING_SKIPPED") else pytest.skip(reason)


def checked(command: Iterable[str], done: subprocess.CompletedProcess) -> Any:
    if done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done


@dataclass(frozen=True)
class Project:
    """A clone's stand-in: the files of the work tree, committed."""

    root: Path

    def run(
        self, *command: str, check: bool = True, fresh: bool = False, **environ: str
    ) -> subprocess.CompletedProcess:
        """stdout and stderr come together in `.stdout`; `fresh`: with nothing imported before."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, "PATH": PATH if fresh else preloaded.path(), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return checked(command, done) if check else done

    def script(
        self, code: str, *words: str, parent: str = "plain", **environ: str
    ) -> subprocess.CompletedProcess:
        """Runs `python -c code words`, which imports modules of the project."""
        environ = {"PATH": preloaded.path(), **environ}
        done = preloaded.run(parent, self.root, "-c", code, *words, **environ)
        if done.returncode:
            pytest.fail(f"{words}: a script ended with {done.returncode}:\n{done.stderr}")
        return done

    def stage(self, name: str, check: bool = True, **environ: str) -> subprocess.CompletedProcess:
        """As dvc.yaml runs it, but without DVC."""
        return self.run(*self.stage_command(name), check=check, **environ)

    def stage_command(self, name: str) -> list[str]:
        """The words of a stage's command in dvc.yaml."""
        from pipeline.config.yaml_text import load_yaml

        stages = load_yaml(self.read("dvc.yaml"), "dvc.yaml")["stages"]
        return stages[name]["cmd"].split()

    def params(self, *overrides: str) -> None:
        """params.yaml and conf.lock.yaml as `python -m pipeline` with these overrides leaves them,
        so that `compose` need not find out of which options the values are."""
        from pipeline.config.merge import composed, with_own, write_lock
        from pipeline.config.yaml_text import dump_yaml

        values, lock = composed(self.root / "conf", overrides)
        (self.root / "params.yaml").write_text(dump_yaml(values))
        write_lock(self.root / "conf.lock.yaml", with_own(lock, values))

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def begin(self) -> None:
        """Makes a git repository of what lies there, with one commit on main."""
        self.run("git", "init", "--quiet", "--initial-branch=main")
        self.run("git", "config", "user.name", "A Tester")
        self.run("git", "config", "user.email", "tester@example.org")
        self.run("git", "config", "commit.gpgsign", "false")
        self.commit("start")

    def copied(self, place: Path) -> Self:
        """A project to spoil, with whatever this one has made."""
        place.mkdir(parents=True)
        subprocess.run(["cp", "-a", f"{self.root}/.", place], check=True)
        return type(self)(place)

    def commit(self, message: str = "change") -> str:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)
        return self.run("git", "rev-parse", "HEAD").stdout.strip()


def make_project(root: Path) -> Project:
    """A copy of the first one that this process made, which takes a sixth of the time."""
    return Project(_first()).copied(root)


@functools.cache
def _first() -> Path:
    """Removed with the process; its objects in one pack, which is soon copied."""
    folder = Path(tempfile.mkdtemp(prefix="project-", dir=os.environ.get(in_memory.ROOT)))
    atexit.register(_remove, folder, os.getpid())
    _made(folder / "project")
    return folder / "project"


def _remove(folder: Path, owner: int) -> None:
    """Not by a process that was forked and ends earlier."""
    if os.getpid() == owner:
        shutil.rmtree(folder)


def _made(root: Path) -> None:
    root.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, root / part, ignore=ignored)
        elif source.is_file():
            shutil.copy(source, root / part)
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", root / ".dvc/config")
    shutil.copy(ROOT / ".dvc/.gitignore", root / ".dvc/.gitignore")
    project = Project(root)
    project.begin()
    project.run("git", "-c", "pack.window=0", "repack", "-a", "-d", "--quiet")
