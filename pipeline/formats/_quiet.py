"""Loggers of frameworks are silenced where their result is checked afterwards."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*loggers: str, level: int = logging.CRITICAL) -> Iterator[None]:
    """Lets these loggers say only what is of `level` or worse: an error is said once."""
    silenced = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in silenced]
    for logger in silenced:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, before in zip(silenced, levels, strict=True):
            logger.setLevel(before)
