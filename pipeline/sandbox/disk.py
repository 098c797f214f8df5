"""What a process has on the disk: all that lies in its directory, however deep, and what it holds
open without a name. Nobody else's files are followed to, whatever it does meanwhile."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.config.params import Limits
from pipeline.sandbox.reports import GIB

BLOCK = 512
"""What st_blocks counts in, whatever the file system's own blocks are."""
MOST_ENTRIES, DEEPEST = 20_000, 64
"""Files and folders, and folders in one another; a complete model has dozens, half a dozen deep."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
GONE = (FileNotFoundError, NotADirectoryError, ProcessLookupError)
"""While it is being looked at."""


def limit_reached(directory: Path, limits: Limits, process: int | None = None) -> str | None:
    """Returns at which limit the files are that lie there, and those the process holds, if any."""
    used, entries, most = 0, 0, limits.file_gib * GIB
    top = os.open(directory, FOLDER)
    try:
        used = sum(_nameless(process).values()) if process else 0
        for status, depth in _entries(top, 1):
            used, entries = used + status.st_blocks * BLOCK, entries + 1
            if depth > DEEPEST:
                return f"at the limit of folders: {DEEPEST} in one another may be"
            if entries > MOST_ENTRIES:
                return f"at the limit of files: {MOST_ENTRIES} may be, folders included"
            if used > most:
                break
    except PermissionError:
        return "at the limit of files: it holds what nobody may look into"
    finally:
        os.close(top)
    if used > most:
        return f"at the limit of files: verify.limits.file_gib is {limits.file_gib:g}"
    return None


def _entries(folder: int, depth: int) -> Iterator[tuple[os.stat_result, int]]:
    """Yields what lies in an open folder and beneath it, and how deep."""
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except GONE:
                continue
            yield status, depth
            if stat.S_ISDIR(status.st_mode):
                with contextlib.suppress(*GONE):
                    inner = os.open(entry.name, FOLDER, dir_fd=folder)
                    try:
                        yield from _entries(inner, depth + 1)
                    finally:
                        os.close(inner)


def _nameless(process: int) -> dict[tuple[int, int], int]:
    """Returns the bytes of each file that the process holds and that has no name any more, by
    device and number: it can be open, or closed and mapped."""
    held = {}
    with contextlib.suppress(*GONE), os.scandir(f"/proc/{process}/fd") as opened:
        for each in opened:
            with contextlib.suppress(*GONE):
                status = each.stat()
                if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                    held[status.st_dev, status.st_ino] = status.st_blocks * BLOCK
    with contextlib.suppress(*GONE):
        maps = Path(f"/proc/{process}/maps").read_bytes()
        for line in maps.split(b"\n") if b" (deleted)" in maps else ():
            if line.endswith(b" (deleted)"):
                place, _, _, device, number = line.split(maxsplit=5)[:5]
                major, minor = (int(part, 16) for part in device.split(b":"))
                key = os.makedev(major, minor), int(number)
                held[key] = max(held.get(key, 0), _mapped(process, place.decode()))
    return held


def _mapped(process: int, place: str) -> int:
    """Returns the bytes of a mapped file, which the system tells root alone; else of what of it is
    mapped there."""
    try:
        return Path(f"/proc/{process}/map_files/{place}").stat().st_blocks * BLOCK
    except (PermissionError, *GONE):
        start, end = (int(part, 16) for part in place.split("-"))
        return end - start


def empty(directory: Path) -> None:
    """Removes all that lies there, however deep: a folder's own folders are moved up before it is
    removed, so that no path becomes long and no call nests."""
    top = os.open(directory, FOLDER)
    try:
        while names := _names(top):
            for name in names:
                if _unlinked(name, top):
                    continue
                inner = os.open(name, FOLDER, dir_fd=top)
                try:
                    for each in _names(inner):
                        if not _unlinked(each, inner):
                            new = secrets.token_hex(16)
                            os.rename(each, new, src_dir_fd=inner, dst_dir_fd=top)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [each.name for each in entries]


def _unlinked(name: str, folder: int) -> bool:
    """Removes it unless it is a folder, which it makes one that can be looked into."""
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if not stat.S_ISDIR(mode):
        os.unlink(name, dir_fd=folder)
        return True
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(name, stat.S_IRWXU, dir_fd=folder)
    return False
