"""`python -m pipeline.layout triton artifacts/complete-model served`: a server's folder of a model.

The files are the complete model's own, linked, so that weights take no more of the disk. No such
server is run here. Exit code 0: written; 1: not, and one line says why.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from pipeline import layouts, provenance
from pipeline.errors import IncompleteArtifact, ParamsError, PipelineError
from pipeline.files import replacing_folder, translate_os_errors, write_atomically
from pipeline.text import escaped
from pipeline.written import link

NAMES = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
"""Of a model, that are a folder's name and a word of a command."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.layout",
        description="Lay a complete model out as TensorFlow Serving or Triton wants it.",
    )
    parser.add_argument("server", choices=layouts.names())
    parser.add_argument("complete_model", type=Path)
    parser.add_argument("folder", type=Path, help="of the server, with a folder a model")
    parser.add_argument("--name", default="model", help="of the model there (default: model)")
    parser.add_argument("--version", type=int, default=1, help="default: 1")
    parser.add_argument(
        "--batch", type=int, default=0, help="rows of requests that Triton may join"
    )
    options = parser.parse_args(arguments)
    try:
        count = _write(options)
    except PipelineError as error:
        print(f"error: layout: {escaped(str(error))}", file=sys.stderr)
        return 1
    print(
        f"{escaped(str(options.folder / options.name))}: {count} files; not run here. To serve it:"
    )
    print(escaped(layouts.layout(options.server).start(options.folder, options.name)))
    return 0


def _write(options: argparse.Namespace) -> int:
    """Returns how many files it wrote: all of the version, or none. Raises PipelineError."""
    layout, source = layouts.layout(options.server), options.complete_model
    _demand(options)
    if faults := provenance.faults(source):
        raise IncompleteArtifact(f"{faults[0]}; only a complete model is laid out")
    held = json.loads((source / "formats.json").read_text())["held"]
    if layout.FORMAT not in held:
        title = f"{source}: holds {', '.join(held)}, and {options.server} takes {layout.FORMAT}"
        raise ParamsError(f"{title}; export it with `export.attempt=[{layout.FORMAT}]`")
    schema = json.loads((source / "schema.json").read_text())
    try:
        files = layout.files(source, schema, options.name, options.version, options.batch)
    except ValueError as fault:
        raise ParamsError(f"{options.server}: {fault}") from fault
    place = options.folder / options.name / str(options.version)
    inside = f"{options.name}/{options.version}/"
    with translate_os_errors(place), replacing_folder(place) as partial:
        for name in sorted(files, key=lambda each: not each.startswith(inside)):
            own, content = name.startswith(inside), files[name]
            target = partial / name.removeprefix(inside) if own else options.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                link(content, target)
            else:
                write_atomically(target, content)
    return len(files)


def _demand(options: argparse.Namespace) -> None:
    """Raises ParamsError for a name or number that is none, and where that version lies already."""
    if not NAMES.fullmatch(options.name):
        raise ParamsError(f"--name: found {options.name!r}, expected letters, digits, _, - and .")
    for word, least in (("version", 1), ("batch", 0)):
        if (value := getattr(options, word)) < least:
            raise ParamsError(f"--{word}: found {value}, expected {least} or more")
    place = options.folder / options.name / str(options.version)
    if place.exists():
        raise ParamsError(f"{place}: is there already; give another --version, or remove it")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
