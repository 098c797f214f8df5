"""A copy of the project with its own git and DVC, in which commands run as a user types them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("conf", "data", "models", "pipeline", "dvc.yaml", "params.yaml", "conf.lock.yaml")
PARTS += (".dvcignore", ".gitignore", "requirements.lock")
TINY = ("experiment=smoke", "export.attempt=[]", "train.epochs=2")
# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")
PACKAGED = (os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin")))


def needs(program: str) -> Path:
    """A program of the distribution; without it a test is skipped, and fails in CI.

    `needs("chromium")`, `needs("initdb")`.
    """
    if found := shutil.which(program, path=os.pathsep.join(PACKAGED)):
        return Path(found)
    reason = f"{program} is not installed; `sudo scripts/install_servers` installs what it needs"
    return pytest.fail(reason) if os.environ.get("NOTHING_SKIPPED") else pytest.skip(reason)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """TensorFlow takes its thread counts once a process, before anything runs in it."""
    if "tensorflow" in sys.modules:
        threading = sys.modules["tensorflow"].config.threading
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)


@dataclass(frozen=True)
class Project:
    """A clone's stand-in: the files of the work tree, committed."""

    root: Path

    def run(self, *command: str, check: bool = True, **environ: str) -> subprocess.CompletedProcess:
        """stdout and stderr come together in `.stdout`."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, "PATH": path, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
        return done

    def stage(self, name: str, check: bool = True) -> subprocess.CompletedProcess:
        """As dvc.yaml runs it, but without DVC."""
        from pipeline.typed import load_yaml

        stages = load_yaml((self.root / "dvc.yaml").read_text(), "dvc.yaml")["stages"]
        return self.run(*stages[name]["cmd"].split(), check=check)

    def params(self, *overrides: str) -> None:
        """params.yaml as these overrides compose it."""
        from pipeline.compose import composition, resolved
        from pipeline.typed import dump_yaml

        values = resolved(composition(self.root / "conf", overrides), {}, [])
        (self.root / "params.yaml").write_text(dump_yaml(values))

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def commit(self, message: str = "change") -> str:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)
        return self.run("git", "rev-parse", "HEAD").stdout.strip()


def make_project(root: Path) -> Project:
    root.mkdir(parents=True)
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
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("git", "config", "user.name", "A Tester")
    project.run("git", "config", "user.email", "tester@example.org")
    project.run("git", "config", "commit.gpgsign", "false")
    project.commit("start")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny model, trained and exported by the stages themselves. Read it, do not change it."""
    project = make_project(tmp_path_factory.mktemp("trained") / "project")
    project.params(*TINY)
    for name in ("prepare", "train", "checkpoint", "export-complete"):
        project.stage(name)
    return project


@pytest.fixture
def copy_of(tmp_path: Path) -> Iterator[Callable[[Project], Project]]:
    """A project to spoil."""

    def copy(project: Project) -> Project:
        return Project(Path(shutil.copytree(project.root, tmp_path / "copy", symlinks=True)))

    yield copy
