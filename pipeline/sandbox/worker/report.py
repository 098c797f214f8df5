"""What the process answers: facts as JSON, arrays as an .npz."""

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .job import Job

Arrays = dict[str, np.ndarray]


class Report:
    """Collects what the process answers, so that all of it is there when an exception ends it."""

    def __init__(self, job: Job, imports_took: float = 0.0):
        self.job, self.imports_took = job, imports_took
        self.facts: dict[str, Any] = {"at": "refuse", "error": None, "proofs": {}, "timing": {}}
        self.arrays: Arrays = {}

    def start(self, at: str) -> float:
        self.facts["at"] = at
        return time.perf_counter()

    def time(self, name: str, start: float) -> None:
        """Notes how long something took; the first time that it is noted counts."""
        self.facts["timing"].setdefault(name, time.perf_counter() - start)

    def keep(self, kind: str, arrays: Mapping[str, Any]) -> None:
        self.arrays.update({f"{kind}/{name}": plain(name, each) for name, each in arrays.items()})

    def write(self) -> None:
        self.facts["timing"].setdefault("peak_mib", peak_mib())
        np.savez(self.job.answers, **self.arrays)  # type: ignore[arg-type]
        Path(self.job.report).write_text(json.dumps(self.facts))


def digest_of(array: np.ndarray) -> str:
    """Returns the sha256 of dtype, shape and bits, whichever way they lie in memory."""
    sha256 = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    if array.nbytes:
        sha256.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()


def plain(name: str, value: Any) -> np.ndarray:
    """Returns the value as an array. Raises TypeError for Python objects."""
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise TypeError(f"output {name}: found Python objects, expected an array")
    return array


def peak_mib() -> float:
    """Returns the most memory that this program alone used; getrusage would count its parent's from
    before the exec as well."""
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) / 1024
    import resource

    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
