"""The files of the format, and those that it refers to for weights."""

from .._weight_files import weight_files
from . import FORMAT

FILE = FORMAT.file
OVERFLOW = "model.onnx.data"
"""It holds what lies nowhere else, where the graph cannot hold it."""
EXTERNAL = (*weight_files(FORMAT), OVERFLOW)
