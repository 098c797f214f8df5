"""What torch.export.save wrote, and packages of AOTInductor, which look like it."""

from pathlib import Path

from pipeline.formats.torch_export import foreign

from . import _programs
from .contract import Foreign

TITLE = "program of torch.export (.pt2)"
GIVES = "program"


def recognizes(path: Path) -> bool:
    """Returns whether it is an archive with a program of torch's, be it one that is refused."""
    return foreign.is_program(foreign.members_of(path))


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError for what is no plain program of torch.export."""
    return _programs.opened(path, "torch_export", "pytorch")
