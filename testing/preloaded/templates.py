"""Templates of pages that are compiled once for all that tests run, which is most of what a page
takes."""

import functools
from pathlib import Path
from typing import Any


def once(folder: Path) -> None:
    """From now on, a template that this process, its child or another one with this folder has used
    is not compiled again, as jinja2 offers it; another text is."""
    from jinja2 import Environment, FileSystemBytecodeCache

    folder.mkdir(exist_ok=True)
    begin = Environment.__init__
    cache = FileSystemBytecodeCache(str(folder))

    @functools.wraps(begin)
    def begin_with_cache(self: Environment, *given: Any, **named: Any) -> None:
        begin(self, *given, **{"bytecode_cache": cache, **named})

    Environment.__init__ = begin_with_cache  # type: ignore[method-assign]
