"""A format of a few lines whose loading makes an attempt, run as every model is: confined."""

import dataclasses
import textwrap
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.params import Limits
from pipeline.sandbox import supervisor
from pipeline.sandbox.reports import Answers, read
from pipeline.sandbox.worker.job import Job
from testing import formats

ROOMY = Limits(memory_gib=4.0, minutes=1.0, file_gib=1.0)
ATTEMPT = """
import ctypes, errno, fcntl, json, mmap, os, socket, subprocess, threading, time
from pathlib import Path
import numpy as np
FILE = "weights.npy"
OUTSIDE = Path({outside!r})
def attempt():
    {code}
def load(directory):
    attempt()
    weights = np.fromfile(directory / FILE, np.float32)
    return lambda inputs: {{"y": inputs["x"] * weights}}
def weights(directory):
    return {{"large": (FILE, 0, 12, "float32")}}
"""


@dataclass(frozen=True)
class Den:
    root: Path

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    def job(self, code: str) -> Job:
        work_dir = self.root / "room"
        job = supervisor.new_job(
            work_dir,
            "answer",
            "plain",
            complete_model=self.root / "model",
            batches={"one": self.root / "given/one.npz"},
            training=self.root / "none",
            threads=1,
            refused=["pipeline"],
            copy=str(work_dir / "copy"),
            test={"x": str(self.root / "given/x.npy")},
            scored=["y"],
            test_answers=str(work_dir / "test.npy"),
            rows=4,
        )
        lines = textwrap.indent(textwrap.dedent(code), "    ").strip()
        text = ATTEMPT.format(outside=str(self.outside), code=lines)
        formats.write(supervisor.code_of(work_dir) / "formats", "plain", text, "weights.npy")
        return job

    def run(self, code: str, **changes: float) -> Answers:
        job, limits = self.job(code), dataclasses.replace(ROOMY, **changes)
        readable = [self.root / "model", self.root / "given"]
        return read(Answers, job, supervisor.run(job, self.root / "room", readable, limits), limits)
