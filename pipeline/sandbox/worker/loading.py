"""The copy of the formats, and how what they load is imported."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

from .job import Job

UNUSED = ("matplotlib", "pandas", "sklearn")
"""TensorFlow and Keras do without, but import them where they are installed: a third of it all."""


def formats() -> ModuleType:
    """Returns the copy of the package that lies beside this one."""
    return importlib.import_module("formats")


@contextlib.contextmanager
def without_unused(job: Job) -> Iterator[None]:
    """Counts UNUSED as missing while TensorFlow is imported."""
    absent = UNUSED if "tensorflow" in formats().declared(job.format).requires else ()
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    yield
    for name in absent:
        del sys.modules[name]


def set_threads(job: Job) -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(job.threads)
