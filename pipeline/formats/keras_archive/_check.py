"""What must hold of an archive before Keras may load it, whoever wrote it."""

import zipfile
from pathlib import Path

from ._archive import check_members, check_metadata
from ._config import check_config
from ._weights import check_weights


def check_archive(path: Path) -> None:
    """Raises ValueError in one line for all that `screen` refuses but classes not Keras' own."""
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path}: not a .keras archive; export it again")
        check_members(path)
        check_metadata(path)
        check_config(path)
        check_weights(path)
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError, OSError) as error:
        raise ValueError(
            f"{path}: not laid out as it is written here ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); do not load it"
        ) from error
