"""The variables of a test's own process."""

import contextlib
import os
from collections.abc import Iterator

OF_PYTEST = {"PYTEST_CURRENT_TEST"}
"""Of pytest, which sets it and takes it away itself."""


@contextlib.contextmanager
def put_back() -> Iterator[None]:
    """At the end they are what they were: a preloaded parent refuses a command that has another
    variable than it was started with, which is then a slow one."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys() - OF_PYTEST:
        del os.environ[name]
    os.environ.update(before)
