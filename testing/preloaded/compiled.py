"""Our own sources, compiled once for all children: what a file of the same bytes is as bytecode,
and what a dataclass generates.

A project has them anew and without bytecode, and each of its processes would compile what it
imports: a tenth of a second, a third of a short stage's. The methods of 67 dataclasses take a
third of that.
"""

import _imp
import dataclasses
import importlib
import marshal
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

FOLDERS = ("pipeline", "models")
STAGES = ("compose", "prepare", "train", "checkpoint", "export_complete", "verify", "log_to_mlflow")


def hand_out(root: Path) -> None:
    """From now on, a source in this process and its children is compiled only if it is another than
    any of `root`."""
    sources = {file.read_bytes() for each in FOLDERS for file in (root / each).rglob("*.py")}
    known = {each: marshal.dumps(compile(each, "", "exec", dont_inherit=True)) for each in sources}
    compiled = SourceFileLoader.source_to_code

    def source_to_code(loader: SourceFileLoader, data: bytes, path: str, **more: int) -> CodeType:
        if data not in known:
            return compiled(loader, data, path, **more)
        code: CodeType = marshal.loads(known[data])
        _imp._fix_co_filename(code, path)
        return code

    SourceFileLoader.source_to_code = source_to_code


def hand_out_methods(root: Path) -> None:
    """From now on, a method that a dataclass generates, which is a text first, is compiled only if
    it is another than any of the stages of `root`. They are imported in a process of their own."""
    known: dict[str, CodeType] = {}

    def run(text: str, names: dict[str, Any], into: dict[str, Any]) -> None:
        if text not in known:
            known[text] = compile(text, "<string>", "exec", dont_inherit=True)
        exec(known[text], names, into)

    dataclasses.exec = run  # type: ignore[attr-defined]
    reading, writing = map(os.fdopen, os.pipe(), ("rb", "wb"))
    if (child := os.fork()) == 0:
        try:
            sys.path.insert(0, str(root))
            for each in STAGES:
                importlib.import_module(f"pipeline.{each}")
            marshal.dump(known, writing)
            writing.flush()
        finally:
            os._exit(0)
    writing.close()
    known.update(marshal.load(reading))
    reading.close()
    os.waitpid(child, 0)
