"""The files of the format, and those that it refers to for its state."""

from .._weight_files import optimizer_files, weight_files
from . import FORMAT

FILE = FORMAT.file
(FOLDER,) = FORMAT.entries
STEP, PREDICT = f"{FOLDER}/step.onnx", f"{FOLDER}/predict.onnx"
OWN = f"{FOLDER}/state.bin"
"""It holds what lies in no other format's files."""
WEIGHTS, OPTIMIZER = weight_files(FORMAT), optimizer_files(FORMAT)
