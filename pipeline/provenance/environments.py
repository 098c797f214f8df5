"""The interpreter, the processor and the packages that a stage runs with."""

import contextlib
import platform
import site
from pathlib import Path
from typing import Any

OWN = "complete_models"
"""The distribution that is this project: it is named by its code, not by a version."""


INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve", "sve2")
"""By which libraries choose between kernels that add in another order."""


def this_platform() -> str:
    """Returns system and machine and, where the system tells, who made the processor and which
    instructions it has: on another one the same program may answer with other last bits."""
    words = [f"{platform.system()}-{platform.machine()}".lower()]
    with contextlib.suppress(OSError):
        lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
        fields = {name.strip().lower(): value.strip() for name, _, value in lines}
        has = (fields.get("flags") or fields.get("features") or "").split()
        words += filter(
            None, [fields.get("vendor_id"), *(each for each in INSTRUCTIONS if each in has)]
        )
    return " ".join(words)


def environment() -> dict[str, Any]:
    """Returns the interpreter and every installed distribution but this project itself, as the
    names of their folders have them."""
    folders = [Path(folder) for folder in site.getsitepackages() if Path(folder).is_dir()]
    names = (info.name[: -len(".dist-info")] for f in folders for info in f.glob("*.dist-info"))
    pairs = sorted(name.rsplit("-", 1) for name in names)
    return {
        "python": platform.python_version(),
        "platform": this_platform(),
        "packages": {
            name.lower().replace("_", "-"): version for name, version in pairs if name != OWN
        },
    }
