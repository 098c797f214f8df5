"""Projects that tests share, and what every test process is set to."""

import functools
import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from testing import environment, in_memory, preloaded
from testing.preloaded import torchlib
from testing.project import TINY, Project, make_project
from testing.rewritten import rewrite_share
from testing.shared import shared

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


FIRST = (
    *("sweep/test_slurm.py", "formats/test_onnx_train.py", "end_to_end/test_keras_pipeline.py"),
    *("end_to_end/test_team.py", "formats/test_saved_model_training.py", "test_resume.py"),
    *("end_to_end/test_pipeline.py", "test_reproduce.py", "provenance/test_lineage.py"),
    *("test_relog.py", "formats/test_contract.py", "test_train.py", "formats", "frameworks"),
    *("end_to_end", "test_export_complete.py", "provenance", "training/ranks", "runtimes"),
    "hostile",
)
"""What takes longest, so that the workers end at the same time, and what waits beside what does
not."""
APART = ("end_to_end/test_faults.py", "end_to_end/test_experiments.py", "test_resume.py")
"""Files whose tests share little, and are handed to the workers one by one."""


def pytest_configure(config: pytest.Config) -> None:
    """One process of a run starts what all of its workers hand commands to, and ends it."""
    if hasattr(config, "workerinput"):
        gc.disable()  # until all is imported, which stays
        rewrite_share(config)
    else:
        in_memory.use(os.environ)
        os.environ["DVC_NO_ANALYTICS"] = "1"  # else a process a command, where no config says so
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a project is another folder each time
        serving = preloaded.served()
        serving.__enter__()
        config.add_cleanup(lambda: serving.__exit__(None, None, None))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Names why commands were not begun with their imports done, which is how a suite gets slow."""
    if refused := preloaded.refused():
        terminalreporter.section("commands that no parent took")
        for reason, count in refused.most_common():
            terminalreporter.line(f"{count:6} {reason}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests go to one worker, which makes what they share once.

    (xdist 3.8's own --dist loadgroup knows no group under pytest 9.2, and says nothing.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return nodeid if file.endswith(APART) else file

    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first."""

    @functools.cache
    def order(file: Path) -> int:
        place = file.relative_to(Path(__file__).parent).as_posix()
        return next((i for i, name in enumerate(FIRST) if place.startswith(name)), len(FIRST))

    items.sort(key=lambda item: order(item.path))


def pytest_collection_finish() -> None:
    """What was imported is not looked through for garbage again and again, and what the tests make
    as rarely as in a stage."""
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def pytest_runtest_setup() -> None:
    """Once a test has exported to ONNX, the next ones need not read again what torch.onnx knows."""
    torchlib.once()


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """TensorFlow takes its thread counts once a process, before anything runs in it."""
    if "tensorflow" in sys.modules:
        threading = sys.modules["tensorflow"].config.threading
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)


@pytest.fixture(autouse=True, scope="module")
def same_environment_after_a_file() -> Iterator[None]:
    """What a file's fixtures or their imports set in this process is gone after it."""
    with environment.put_back():
        yield


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """And so is what a test, or a framework that it sets up, has set, for the tests behind it."""
    with environment.put_back():
        yield


@pytest.fixture
def preloaded_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test's own process starts, the sandbox' fork servers for one, begins with its
    imports done."""
    monkeypatch.setattr(sys, "executable", preloaded.python())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny model, trained and exported by the stages themselves. Read it, do not change it."""

    def make(folder: Path) -> None:
        project = make_project(folder / "project")
        project.params(*TINY)
        for name in ("prepare", "train", "checkpoint", "export-complete"):
            project.stage(name)

    return Project(shared(tmp_path_factory, "trained", make) / "project")


@pytest.fixture
def copy_of(tmp_path: Path) -> Iterator[Callable[[Project], Project]]:
    """A project to spoil."""

    def copy(project: Project) -> Project:
        return project.copied(tmp_path / "copy")

    yield copy
