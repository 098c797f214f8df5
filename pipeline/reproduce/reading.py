"""What looks into a stranger's weights does so in a process that can do nothing else.

torch, h5py, zip and protobuf parse what somebody crafted; a fault of theirs is not the user's.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pipeline.errors import CannotRun
from pipeline.project import ROOT
from pipeline.reproduce.confined import python_places
from pipeline.sandbox import launcher as sandbox_launcher
from pipeline.sandbox.programs import LAUNCHER, NEEDED
from pipeline.sandbox.supervisor import with_link_targets

READER = Path(__file__).resolve().with_name("read.py")
LONGEST = 64 << 20
"""Bytes of an answer."""
ADDRESS_SPACE = 16 << 30
"""That libraries reserve and never use."""


def call(function: Callable[..., Any], arguments: list[Any], readable: Iterable[Path]) -> Any:
    """Returns what a function of ours answers, whose arguments and answer are JSON, and which reads
    no file but ours, the libraries' and those beneath `readable`. Raises CannotRun if it ends
    without an answer."""
    places = [path.resolve() for place in readable for path in with_link_targets(place)]
    named = f"{function.__module__}:{function.__qualname__}"
    with tempfile.TemporaryDirectory(prefix="reading-") as temporary:
        work = Path(temporary).resolve()
        terms = _terms(places, work)
        job = {"package": str(ROOT / "pipeline"), "function": named, "arguments": arguments}
        for name, content in {"terms": terms, "job": job}.items():
            (work / f"{name}.json").write_text(json.dumps(content))
        command = [LAUNCHER, work / "terms.json", sys.executable, "-I", READER, work / "job.json"]
        done = subprocess.run(
            [sys.executable, "-IB", *map(str, command)],
            cwd=work,
            env={"PATH": os.defpath, "HOME": str(work), "TMPDIR": str(work), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        return _answer(work / "answer.json", done)


def _terms(places: list[Path], work: Path) -> dict[str, Any]:
    lacking = sandbox_launcher.lacking()
    own = [str(ROOT / "pipeline"), *python_places(None)]
    sizes = sum(p.stat().st_size for place in places for p in _files(place))
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "read": [*NEEDED, *own, *map(str, places)],
        "write": [str(work)],
        "links": [],
        "devices": [],
        "network": False,
        "memory": physical + ADDRESS_SPACE + 4 * sizes,
        "parent": os.getpid(),
        "files": "files" not in lacking,
        "calls": "calls" not in lacking,
    }


def _files(place: Path) -> Iterable[Path]:
    return (p for p in (place, *place.rglob("*")) if p.is_file())


def _answer(path: Path, done: "subprocess.CompletedProcess[bytes]") -> Any:
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
        if done.returncode == 0 and len(content) <= LONGEST:
            return json.loads(content)
    except (OSError, ValueError, RecursionError):
        pass
    last = done.stderr[-4096:].decode(errors="replace").strip().rpartition("\n")[2]
    raise CannotRun(f"reading it ended with {done.returncode}: {last[:300] or 'no word'}")
