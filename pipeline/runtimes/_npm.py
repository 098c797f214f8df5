"""What scripts/install_runtimes installs by npm, apart from every project of the user's own."""

import json
import shutil
import sys
from pathlib import Path

from pipeline.runtimes.contract import SEARCHED, NotHere, Place

INSTALLED = Path(sys.prefix) / "node"
"""With a folder of each runtime, in which npm was run."""


def find(name: str, program: Path) -> Place:
    """Returns Node and the packages that package.json in `program` names. Raises NotHere."""
    node = shutil.which("node")
    if node is None:
        raise NotHere(
            "Node is not installed; install Node 20 or later (sudo scripts/install_servers)"
        )
    modules = INSTALLED / name / "node_modules"
    wanted = json.loads((program / "package.json").read_text())["dependencies"]
    for package, version in wanted.items():
        described = modules / package / "package.json"
        installed = json.loads(described.read_text())["version"] if described.is_file() else "none"
        if installed != version:
            raise NotHere(
                f"found {package} {installed}, expected {version}; install it: "
                "scripts/install_runtimes"
            )
    path = f"{Path(node).parent}:{SEARCHED}"
    environment = {"PATH": path, "NODE_PATH": str(modules), "OPENSSL_CONF": "/dev/null"}
    return Place(environment=environment, readable=[Path(node).resolve().parents[1], modules])
