"""The formats as a stranger has them: a copy of their folder in which nothing else of ours is."""

import atexit
import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline.sandbox.worker.loading import UNUSED
from testing.project import ROOT

SPARED = f"import sys\nsys.modules |= dict.fromkeys({UNUSED!r})\n"
"""Before a script, has TensorFlow find none of what it imports and does without, as in the sandbox:
two fifths of what its import takes."""
FORM = '''"""A format's parts as one; each loads when it is asked for what is in it."""

import importlib
import pkgutil
import types


class Form:
    def __init__(self, name):
        self._package = importlib.import_module(f"formats.{name}")

    def __getattr__(self, wanted):
        for part in (self._package, *map(self._load, self._parts())):
            found = vars(part).get(wanted)
            if found is not None and not isinstance(found, types.ModuleType):
                return found
        raise AttributeError(wanted)

    def _parts(self):
        first = ("load", "train", "screen", "card", "serving", "export")
        every = [part.name for part in pkgutil.iter_modules(self._package.__path__)]
        return sorted(every, key=lambda name: (*first, name).index(name))

    def _load(self, part):
        return importlib.import_module(f"{self._package.__name__}.{part}")
'''


def alone(root: Path) -> Path:
    """Copies formats/ into `root`, beside form.py, in which a script finds `Form(name)`."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pipeline/formats", root / "formats", ignore=ignored)
    (root / "form.py").write_text(FORM)
    return root / "formats"


def here() -> Path:
    """One for this process, on its import path until it ends."""
    root = Path(tempfile.mkdtemp(prefix="formats-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    sys.path.append(str(root))
    return alone(root)


FOLDER = here()
NAMES = importlib.import_module("formats").names()


def form(name: str) -> Any:
    """All that the format's parts have, private names included."""
    return importlib.import_module("form").Form(name)


DECLARED = '''"""A format of a few lines."""

from ..tolerance import EXACT
from ..contract import Format, Promises

FORMAT = Format(
    promises=Promises(
        code_free=True,
        safe_to_load=True,
        trainable=True,
        same_bytes=True,
        runtimes=("numpy",),
        note="A few lines.",
    ),
    frameworks=({framework!r},),
    requires=("numpy",),
    file={file!r},
    entries=({file!r},),
    tolerance=EXACT,
    continuation=EXACT,
)
'''


def write(formats: Path, name: str, text: str, file: str, framework: str = "pytorch") -> None:
    """A format whose parts all hold `text`, in a folder that has nothing else but the contract."""
    (formats / name).mkdir(parents=True, exist_ok=True)
    for shared in ("__init__.py", "contract.py", "dimensions.py", "tolerance.py"):
        shutil.copyfile(ROOT / "pipeline/formats" / shared, formats / shared)
    (formats / name / "__init__.py").write_text(DECLARED.format(file=file, framework=framework))
    for part in ("load", "train", "screen"):
        (formats / name / f"{part}.py").write_text(text)
