"""Run alone, `python -I read.py job.json`, by a process that is confined: calls one function of
ours and writes its answer beside the job."""

import importlib
import importlib.util
import json
import sys
from pathlib import Path


def main(path: Path) -> None:
    job = json.loads(path.read_text())
    _take_package(Path(job["package"]))
    module, _, name = job["function"].partition(":")
    answer = getattr(importlib.import_module(module), name)(*job["arguments"])
    path.with_name("answer.json").write_text(json.dumps(answer))


def _take_package(place: Path) -> None:
    """Loads our package from its own directory: that around it, where Python would look, is not to
    be read."""
    spec = importlib.util.spec_from_file_location(
        place.name, place / "__init__.py", submodule_search_locations=[str(place)]
    )
    assert spec and spec.loader
    package = sys.modules[place.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
