"""A pickle of whole objects, as torch.save(model) and pickle.dump write it: it names code, which
runs when it is unpickled, and is never unpickled here.

`extract` unpickles it in a confined process, from which tensors, names and plain values come back.
"""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from pickletools import opcodes

from pipeline.errors import DataError
from pipeline.text import escaped

from . import _pickle, _torch_file, lightning, state_dict, unpickled
from ._pickle import Pickle
from ._safetensors_file import has_header
from .contract import Foreign

TITLE = "pickle of whole objects"
GIVES = None
PROTOCOLS = (2, 3, 4, 5)
OPCODES = frozenset(each.code.encode("latin-1") for each in opcodes)
OLDEST = (b"(d", b"(l", b"cc", b"}q", b"]q", b"ccopy_reg", b"c__main__")
"""What pickles of protocols 0 and 1 begin with that hold anything."""
PACKAGES = frozenset({"torch", "torch.cuda", "torch.sparse"})
SCRIPT = Path(__file__).with_name("_unpickle.py")
SOURCES = ("models", "src")
"""Folders of the user's whose code a pickle may need, which the process can read."""
GIB = 1 << 30
MINUTES = 10.0


def recognizes(path: Path) -> bool:
    """Returns whether it is a pickle with objects in it, of torch.save or of Python itself. It is
    read as data, opcode by opcode."""
    if not path.is_file():
        return False
    if _torch_file.looks_so(path):
        pickle = _torch_file.unpickled(path)
        own = lightning.recognizes(path) or state_dict.recognizes(path)
        return pickle is not None and not own and bool(_objects(pickle))
    return _is_plain_pickle(path)


def read(path: Path) -> Foreign:
    """Raises DataError, one line that says what to do."""
    if _torch_file.looks_so(path):
        pickle = _torch_file.unpickled(path)
        objects = _objects(pickle) if pickle is not None else []
    else:
        objects = []
    named = f" ({escaped(', '.join(objects[:3]))[:200]})" if objects else ""
    raise DataError(
        f"{path}: a pickle of whole objects{named}, which runs code when it is opened; expected "
        "weights by name: torch.save(model.state_dict(), …), or, where you trust who wrote it, "
        "adopt it with --trust-pickle, which opens it where it can do nothing else"
    )


def _objects(pickle: Pickle) -> list[str]:
    """Returns the names of what it would import beside torch's and Python's own data."""
    return sorted(
        str(each)
        for each in pickle.globals
        if each.module not in PACKAGES
        and not each.module.startswith(("torch._utils", "torch._tensor", "torch.storage"))
        and each.module not in ("collections", "builtins", "__builtin__", "_codecs")
        and str(each) not in ("torch.nn.parameter.Parameter", "torch.serialization._get_layout")
    )


def _is_plain_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        if head[:1] == b"\x80" and len(head) > 2 and head[1] in PROTOCOLS:
            return head[2:3] in OPCODES and not has_header(path)
        if not head.startswith(OLDEST):
            return False
        try:
            _pickle.read(file)
        except _pickle.UNREADABLE:
            return False
        return not file.read(1)


def extract(path: Path, output: Path, root: Path | None = None) -> None:
    """Unpickles the file in a confined process, which reaches no network, starts no program and
    writes its answer alone, and makes `output` of it, a folder that `unpickled` opens.

    Code of the user's can be imported there from models/ and src/ below `root`, and none of ours.
    Raises DataError, one line; then there is no `output`.
    """
    from pipeline.config.params import Limits
    from pipeline.sandbox import supervisor

    size = path.stat().st_size / GIB
    limits = Limits(memory_gib=2 + 6 * size, minutes=MINUTES, file_gib=0.1 + 3 * size)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".unpickling-") as temporary:
        work = Path(temporary).resolve() / "work"
        (work / "empty").mkdir(parents=True)
        (work / supervisor.ALONE).mkdir()
        shutil.copyfile(SCRIPT, work / supervisor.ALONE / "__main__.py")
        report, answer = work / "report.json", work / "answer"
        job = {"path": str(path.resolve()), "answer": str(answer), "report": str(report)}
        job["source"] = str(_code(root, work / "source"))
        (work / "job.json").write_text(json.dumps(job))
        died = supervisor.confined(work, work / "empty", [path], limits, threads=1, report=report)
        if died is not None:
            raise DataError(
                f"{path}: unpickled in a confined process, which came to no end: "
                f"{escaped(died)[:400]}; the classes that it names have to be in models/ or src/"
            )
        taken = _taken(path, answer, work.with_name("taken"))
        try:
            unpickled.read(taken)
        except DataError as fault:
            what = str(fault).removeprefix(str(taken)).lstrip("/: ")
            raise DataError(f"{path}: unpickled in a confined process, which left {what}") from None
        with path.open("rb") as file:
            unpickled.name_origin(taken, hashlib.file_digest(file, "sha256").hexdigest())
        taken.rename(output)


def _code(root: Path | None, target: Path) -> Path:
    """Copies the user's code, which Python finds by looking into the folder around it."""
    target.mkdir()
    for name in SOURCES:
        if root is not None and (root / name).is_dir():
            shutil.copytree(root / name, target / name, ignore=_no_code)
    return target


def _no_code(folder: str, names: list[str]) -> list[str]:
    return [n for n in names if not (n.endswith(".py") or (Path(folder) / n).is_dir())]


def _taken(path: Path, answer: Path, target: Path) -> Path:
    """Moves the answer's two files, where they are files, and returns the folder."""
    target.mkdir()
    for name in unpickled.FILES:
        place = answer / name
        if place.is_symlink() or not place.is_file():
            raise DataError(f"{path}: unpickled in a confined process, which left no {name}")
        place.rename(target / name)
    return target
