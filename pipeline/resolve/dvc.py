"""The one place that knows the layout of DVC's cache, dvc.lock and .dvc files, read without DVC.

A directory in the cache is a JSON list of the md5 and relpath of each file in it, under the md5 of
that list.
"""

import configparser
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.yaml_text import load_yaml
from pipeline.errors import ParamsError

LOCK = "dvc.lock"
STATEMENT = re.compile(rb'"md5": "([0-9a-f]{32})", "relpath": "provenance\.json"')
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
PATHS = ("url", "credentialpath", "configpath", "keyfile", "cert_path", "key_path")
"""Settings of a remote that may be a path, which counts from the config file."""


def cache(root: Path) -> Path:
    """Returns where the objects lie; a relative `cache.dir` counts from its config file."""
    return root / ".dvc" / (_configured(root, "cache", "dir") or "cache") / "files" / "md5"


def remote(root: Path) -> str | None:
    """Returns the default remote's URL; None without one."""
    name = _configured(root, "core", "remote")
    return _configured(root, f"'remote \"{name}\"'", "url") if name else None


def remotes(root: Path) -> str:
    """Returns a config file of DVC's that has the remotes, and which is the default, for a clone
    that lies elsewhere: a path in it is absolute."""
    chosen = configparser.ConfigParser(interpolation=None, strict=False)
    for name in ("config", "config.local"):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read(root / ".dvc" / name)
        for section in parser.sections():
            if section.startswith("'remote "):
                chosen.read_dict({section: parser[section]})
        if parser.has_option("core", "remote"):
            chosen.read_dict({"core": {"remote": parser["core"]["remote"]}})
    for section in chosen.sections():
        for option, value in list(chosen.items(section)):
            if option in PATHS and "://" not in value and not value.startswith("~"):
                chosen.set(section, option, str((root / ".dvc" / value).resolve()))
    text = io.StringIO()
    chosen.write(text)
    return text.getvalue()


def _configured(root: Path, section: str, option: str) -> str | None:
    """Returns a setting of DVC's; `.dvc/config.local` goes before `.dvc/config`."""
    value = None
    for name in ("config", "config.local"):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(root / ".dvc" / name)
        except configparser.Error:
            continue
        value = parser.get(section, option, fallback=value)
    return value


def stored(root: Path, md5: str) -> Path:
    """Returns the object's place, whether or not it is there."""
    return cache(root) / md5[:2] / md5[2:]


def name_of(stored: Path) -> str:
    """Returns the md5 that an object lies under."""
    return stored.parent.name + stored.name


def listing(root: Path, md5: str) -> dict[str, Path] | None:
    """Returns the object of each relative name in a directory with this md5 (….dir); None when it
    is not cached."""
    path = stored(root, md5)
    if not MD5.fullmatch(md5) or not path.is_file():
        return None
    try:
        entries = json.loads(path.read_bytes())
        return {entry["relpath"]: stored(root, entry["md5"]) for entry in entries}
    except (ValueError, KeyError, TypeError):
        return None


def directories(root: Path) -> Iterator[tuple[str, Path]]:
    """Yields the md5 of each cached directory that has a statement, and the statement's object."""
    for path in sorted(cache(root).glob("[0-9a-f][0-9a-f]/*.dir")):
        if statement := STATEMENT.search(path.read_bytes()):
            yield name_of(path), stored(root, statement[1].decode())


def md5_of(path: Path) -> str:
    """Returns the md5 of a file or of a directory (with .dir), as DVC computes it."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    names = provenance.files(path)
    names = sorted([*names, provenance.NAME] if (path / provenance.NAME).is_file() else names)
    entries = [{"md5": md5_of(path / name), "relpath": name} for name in names]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"


def stages(text: bytes | None, where: str) -> Mapping[str, Any]:
    """Returns the entries of a dvc.lock's text; none without one. Raises ParamsError when it is no
    YAML."""
    content = load_yaml(text.decode(errors="replace"), where) if text else None
    entries = content.get("stages") if isinstance(content, Mapping) else None
    return entries if isinstance(entries, Mapping) else {}


def output(stage: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns path and md5 of a stage's first out, a directory; None when it has none."""
    for out in stage.get("outs", []):
        if str(out.get("md5", "")).endswith(".dir"):
            return str(out["path"]), str(out["md5"])
    return None


def only_stages(text: bytes, *names: str) -> bytes:
    """Returns the text of a dvc.lock, as DVC writes it, with these stages alone: a whole one takes
    15 times as long to read."""
    entries = (re.search(rb"^  %s:\n(?:    .*\n)+" % name.encode(), text, re.M) for name in names)
    return b"stages:\n" + b"".join(entry[0] for entry in entries if entry)


def run_cache(root: Path) -> Iterator[Path]:
    """Yields the files of DVC's run cache: an entry of dvc.lock each, of a stage that ran on this
    machine or came from a remote, whether or not it was ever committed."""
    yield from sorted((cache(root).parent.parent / "runs").glob("??/*/" + "[0-9a-f]" * 64))


def tracked(text: bytes, pointer: str) -> list[tuple[str, str]]:
    """Returns path, beside the file, and md5 of what the text of a .dvc file points at. Raises
    ParamsError for what is none."""
    content = load_yaml(text.decode(errors="replace"), pointer)
    try:
        return [(str(out["path"]), str(out["md5"])) for out in content["outs"]]
    except (KeyError, TypeError):
        raise ParamsError(f"{pointer}: expected a .dvc file with the md5 of its outs") from None
