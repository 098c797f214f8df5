"""The interpreter and the packages that a stage runs with."""

import platform
import site
from pathlib import Path
from typing import Any

OWN = "complete_models"
"""The distribution that is this project: it is named by its code, not by a version."""


def environment() -> dict[str, Any]:
    """Returns the interpreter and every installed distribution but this project itself, as the
    names of their folders have them."""
    folders = [Path(folder) for folder in site.getsitepackages() if Path(folder).is_dir()]
    names = (info.name[: -len(".dist-info")] for f in folders for info in f.glob("*.dist-info"))
    pairs = sorted(name.rsplit("-", 1) for name in names)
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
        "packages": {
            name.lower().replace("_", "-"): version for name, version in pairs if name != OWN
        },
    }
