"""The program: a page, and check.js, which serves it and starts Chromium."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import runtimes
from pipeline.runtimes import _files, _npm
from pipeline.runtimes.contract import FOLDER, NotHere, Place
from pipeline.runtimes.onnx_browser import pictures
from pipeline.runtimes.onnx_files import weight_files
from pipeline.runtimes.onnx_node.program import TRAINS

NAME = "onnx_browser"
DRAWS = "node write_page.js draw.html  # one file to open: draw, and it learns, with no server"
HERE = Path(__file__).with_name("program")
DRAWING = Path(__file__).with_name("drawing")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SETTINGS = tuple(map(Path, ("/etc/chromium", "/etc/chromium.d", "/etc/fonts")))


def find() -> Place:
    place = _npm.find(NAME, HERE)
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None:
        raise NotHere("Chromium is not installed; install it (sudo scripts/install_servers)")
    folder = Path(browser).resolve().parent
    return replace(
        place,
        environment={**place.environment, "CHROMIUM": browser},
        readable=[*place.readable, folder, *SETTINGS],
        serves=True,
    )


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    read = json.dumps(weight_files(directory))
    files = _files.javascript(NAME, schema, directory, HERE, WEIGHTS=read)
    if picture := _picture(directory, schema):
        files |= _files.of(NAME, schema, DRAWING, PICTURE=picture)
    return files


def _picture(directory: Path, schema: Mapping[str, Any]) -> str | None:
    """Returns what a page on which a person draws has to know; None where none is written."""
    return pictures.described(schema) if runtimes.trains(NAME, directory) else None


def build(source: Path, target: Path) -> list[str]:
    return []


def run(source: Path, target: Path) -> list[str]:
    return ["node", str(source / "check.js")]


def card(directory: Path) -> str:
    return "\n".join(
        [
            f"cd runtimes/{NAME}",
            "npm ci --ignore-scripts",
            "node check.js",
            *([TRAINS] if runtimes.trains(NAME, directory) else []),
            "node check.js --serve  # for a browser of your own",
            *([DRAWS] if (directory / FOLDER / NAME / "draw.html").is_file() else []),
        ]
    )
