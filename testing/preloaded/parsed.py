"""YAML texts that a process of DVC's parses once: half of what a `dvc repro` takes is params.yaml,
which DVC reads anew for each stage that it looks at, with a parser in Python.
"""

import pickle
from typing import Any


def once() -> None:
    """From now on, a text that this process or its child has read as plain values is not parsed
    again. Each reader has values of its own; what keeps comments, to be written back, is parsed."""
    from ruamel.yaml import YAML

    known: dict[str, bytes] = {}
    parsed = YAML.load

    def load(self: YAML, stream: Any) -> Any:
        if not isinstance(stream, str) or self.typ != ["safe"]:
            return parsed(self, stream)
        if stream not in known:
            known[stream] = pickle.dumps(parsed(self, stream))
        return pickle.loads(known[stream])

    YAML.load = load
