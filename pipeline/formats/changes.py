"""The part `load` of a format that loads files as if other weights lay in them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from .contract import Arrays, Loader, Place

Changes = Sequence[tuple[Place, np.ndarray]]
"""What lies at places, in the stead of what the files have there."""


class ChangedLoader(Loader, Protocol):
    """The part `load` of a format that `loads_changed`."""

    def load_changed(self, directory: Path, changes: Changes) -> Callable[[Arrays], Arrays]:
        """As `load` of files that have these changes."""
