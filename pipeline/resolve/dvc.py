"""DVC's cache and dvc.lock as files: a directory is a JSON list of the md5 and relpath of each file
in it, under the md5 of that list."""

import configparser
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.reading import load_yaml

LOCK = "dvc.lock"
HELD = re.compile(rb'"md5": "([0-9a-f]{32})", "relpath": "provenance\.json"')
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


def cache(root: Path) -> Path:
    """Where the objects lie; a relative one counts from its config file."""
    return root / ".dvc" / (_configured(root, "cache", "dir") or "cache") / "files" / "md5"


def remote(root: Path) -> str | None:
    """The default remote's URL; None without one."""
    name = _configured(root, "core", "remote")
    return _configured(root, f"'remote \"{name}\"'", "url") if name else None


def _configured(root: Path, section: str, option: str) -> str | None:
    """`.dvc/config.local` goes before `.dvc/config`."""
    found = None
    for name in ("config", "config.local"):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(root / ".dvc" / name)
        except configparser.Error:
            continue
        found = parser.get(section, option, fallback=found)
    return found


def stored(root: Path, md5: str) -> Path:
    """The object's place, whether or not it is there."""
    return cache(root) / md5[:2] / md5[2:]


def listing(root: Path, md5: str) -> dict[str, Path] | None:
    """Relative name -> object of a directory with this md5 (….dir); None when it is not cached."""
    path = stored(root, md5)
    if not MD5.fullmatch(md5) or not path.is_file():
        return None
    try:
        found = json.loads(path.read_bytes())
        return {entry["relpath"]: stored(root, entry["md5"]) for entry in found}
    except (ValueError, KeyError, TypeError):
        return None


def directories(root: Path) -> Iterator[tuple[str, Path]]:
    """md5 of each cached directory that has a statement, and the statement's object."""
    for path in sorted(cache(root).glob("[0-9a-f][0-9a-f]/*.dir")):
        if held := HELD.search(path.read_bytes()):
            yield path.parent.name + path.name, stored(root, held[1].decode())


def md5_of(path: Path) -> str:
    """As DVC computes it, of a file or of a directory (with .dir)."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    names = provenance.files(path)
    names = sorted([*names, provenance.NAME] if (path / provenance.NAME).is_file() else names)
    entries = [{"md5": md5_of(path / name), "relpath": name} for name in names]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"


def stages(text: bytes | None, where: str) -> Mapping[str, Any]:
    """Of a dvc.lock's text; empty without one. Raises ParamsError when it is no YAML."""
    found = load_yaml(text.decode(errors="replace"), where) if text else None
    held = found.get("stages") if isinstance(found, Mapping) else None
    return held if isinstance(held, Mapping) else {}


def output(stage: Mapping[str, Any]) -> tuple[str, str] | None:
    """Path and md5 of a stage's first out, a directory; None when it has none."""
    for out in stage.get("outs", []):
        if str(out.get("md5", "")).endswith(".dir"):
            return str(out["path"]), str(out["md5"])
    return None


def part(text: bytes, *names: str) -> bytes:
    """Of a dvc.lock, as DVC writes it, these stages alone: a whole one takes 15 times as long to
    read."""
    found = (re.search(rb"^  %s:\n(?:    .*\n)+" % name.encode(), text, re.M) for name in names)
    return b"stages:\n" + b"".join(each[0] for each in found if each)


def executed(root: Path) -> Iterator[Path]:
    """The files of DVC's run cache: an entry of dvc.lock each, of a stage that ran on this machine
    or came from a remote, whether or not it was ever committed."""
    yield from sorted((cache(root).parent.parent / "runs").glob("??/*/" + "[0-9a-f]" * 64))
