"""YAML texts that are parsed once for all that tests run: each stage reads dvc.yaml and params.yaml
with a parser in Python, a sixth of what a short one takes, and DVC reads params.yaml anew for each
stage that it looks at.
"""

import contextlib
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any


def once(folder: Path) -> None:
    """From now on, a text that this process, its child or another one with this folder has read as
    plain values is not parsed again. Each reader has values of its own; what keeps comments, to be
    written back, is parsed."""
    from ruamel.yaml import YAML

    folder.mkdir(exist_ok=True)
    parsed = YAML.load

    def load(self: YAML, stream: Any) -> Any:
        if not isinstance(stream, str) or self.typ != ["safe"]:
            return parsed(self, stream)
        text = f"{self.pure} {stream}".encode(errors="surrogatepass")
        place = folder / hashlib.sha256(text).hexdigest()
        with contextlib.suppress(OSError):  # nobody has, or it cannot be seen from here
            return pickle.loads(place.read_bytes())
        values = parsed(self, stream)
        with contextlib.suppress(OSError, RecursionError):
            _write(place, pickle.dumps(values))
        return values

    YAML.load = load


def _write(place: Path, content: bytes) -> None:
    """It appears whole."""
    partial = place.with_suffix(f".{os.getpid()}")
    partial.write_bytes(content)
    partial.rename(place)
