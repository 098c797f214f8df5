"""Keras and TensorFlow, imported once with the settings that every training has."""

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["keras", "tf"]

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # the default, but it changes results


@contextlib.contextmanager
def _quiet(*refused: str) -> Iterator[None]:
    """Has nothing reach stderr, not even from C++, and the modules `refused` count as missing."""
    sys.stderr.flush()
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    absent = [name for name in refused if name not in sys.modules]
    os.dup2(nowhere, 2)
    try:
        sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
        yield
    finally:
        for name in absent:
            del sys.modules[name]
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


with _quiet("matplotlib", "pandas", "sklearn"):  # a third of the import; Keras does without
    import keras
    import tensorflow as tf
