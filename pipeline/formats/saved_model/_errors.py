"""What goes wrong while somebody's model is traced, in one line."""

from typing import Any

PYTHON_ERRORS = (AttributeError, TypeError, ValueError)
"""Python's own, of code that was written for values and is given tensors."""


def tracing_errors() -> tuple[type[Exception], ...]:
    import tensorflow as tf

    return tf.errors.OpError, RuntimeError, LookupError, AssertionError, *PYTHON_ERRORS


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


def name_of(part: Any) -> str:
    """Returns the name of a function, a class or an object's class."""
    return str(part if isinstance(part, str) else getattr(part, "__name__", type(part).__name__))
