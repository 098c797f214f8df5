"""The folder's files: what they are called, and how graph and signature are read."""

from pathlib import Path
from typing import Any

from .._json import read_json
from ._messages import messages

FOLDER = "saved_model"
FILE = f"{FOLDER}/saved_model.pb"
INDEX = "variables/variables.index"
DATA = "variables/variables.data-00000-of-00001"
SIGNATURE = "assets.extra/signature.json"  # a folder that TensorFlow leaves to others
MEMBERS = {"saved_model.pb", INDEX, DATA, SIGNATURE}
ENDPOINT = "serve"


def read_graphs(folder: Path) -> Any:
    """Returns the message SavedModel; nothing in it is run."""
    from google.protobuf.message import DecodeError

    message = messages("saved_model").SavedModel
    try:
        return message.FromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise ValueError(
            f"{folder}/saved_model.pb: unreadable ({error}); export it again"
        ) from error


def read_signature(directory: Path) -> dict[str, Any]:
    """Returns the names of inputs, outputs and seeds; ValueError where it is no JSON."""
    path = directory / FOLDER / SIGNATURE
    signature: dict[str, Any] = read_json(path, (0, path.stat().st_size), str(path))
    return signature
