"""A SavedModel that TensorFlow or Keras wrote."""

from pathlib import Path

from pipeline import frameworks

from . import _programs
from .contract import Foreign

TITLE = "SavedModel"
GIVES = "program"
FILES = ("saved_model.pb", "saved_model.pbtxt")


def recognizes(path: Path) -> bool:
    """Returns whether it is a folder with the graph of one, as a message or as text."""
    return any((path / name).is_file() for name in FILES)


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError for one without a signature that serves, or of TensorFlow 1."""
    frameworks.framework("keras")  # imports TensorFlow without a word
    return _programs.opened(path, "saved_model", "keras")
