"""What the process sees of the file system: where it can, a root in which nothing else lies.

Landlock keeps files from being opened; their names, sizes and dates can still be asked for. With
name spaces of its own, which the system gives to root and on many systems to anyone, the process
binds what it may open into an empty file system, at the paths it had, and takes that for its root.
Landlock and seccomp hold with it as without.
"""

import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from . import kernel

MOUNTS, IPC, HOST, USER = 0x20000, 0x8000000, 0x4000000, 0x10000000
BIND, RECURSIVE, PRIVATE, NO_DEVICE, NO_SUID = 0x1000, 0x4000, 0x40000, 4, 2
DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
CAPGET, CAPSET = {"x86_64": 125, "aarch64": 90}, {"x86_64": 126, "aarch64": 91}
CAPABILITIES = 0x20080522
ANY_FILE = 1 << 1
"""What root is by being root: it opens files whoever owns them. Nothing else is left of it."""
LINKS = 40
NAME = b"confined"


def narrow(paths: Iterable[Path], new_root: Path, machine: str) -> bool:
    """Takes a root in which `paths` alone can be seen, made upon `new_root`, an empty directory of
    no use afterwards; returns whether the system let it. Where it did not, all is seen as
    before."""
    here = Path.cwd()
    try:
        _own_name_spaces()
        _mount(None, "/", None, RECURSIVE | PRIVATE)
        _mount("tmpfs", str(new_root), "tmpfs", NO_DEVICE | NO_SUID)
        _furnish(new_root, [*paths, here])
        os.chdir(new_root)
        kernel.call(PIVOT_ROOT[machine], b".", b".")
    except OSError:
        os.chdir(here)
        return False
    # The old root lies upon the new one, and goes.
    kernel.checked(kernel.libc().umount2(b".", DETACH), "umount2")
    os.chdir(here)
    return True


def _own_name_spaces() -> None:
    """Takes them by right, or, being anybody, along with one of users who are what they were."""
    spaces, libc = MOUNTS | IPC | HOST, kernel.libc()
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(spaces) < 0:
        if user == 0:  # it would lose the files of others, which it may read
            raise PermissionError(ctypes.get_errno(), "unshare")
        kernel.checked(libc.unshare(spaces | USER), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    kernel.checked(libc.sethostname(NAME, len(NAME)), "sethostname")


def _furnish(new_root: Path, paths: Iterable[Path]) -> None:
    """Makes the paths lie in the new root as they lie here, their links as links; what does not
    exist, or lies there already, within a folder that does, needs nothing."""
    links: dict[Path, Path] = {}
    real = {_resolved(path, links) for path in paths}
    for path in sorted(filter(Path.exists, real), key=lambda each: len(each.parts)):
        inside = new_root / path.relative_to("/")
        if not inside.exists():
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.mkdir() if path.is_dir() else inside.touch()
            _mount(str(path), str(inside), None, BIND | RECURSIVE)
    for path, to in links.items():
        inside = new_root / path.relative_to("/")
        if not inside.is_symlink():
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.symlink_to(to)


def _resolved(path: Path, links: dict[Path, Path]) -> Path:
    """Returns where the path leads in the end, and adds the links on the way to `links`."""
    for _ in range(LINKS):
        link = next((each for each in (*reversed(path.parents), path) if each.is_symlink()), None)
        if link is None:
            return path
        links[link] = link.readlink()
        path = Path(os.path.normpath(link.parent / links[link] / path.relative_to(link)))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    texts = [each and each.encode() for each in (source, target, kind)]
    result = kernel.libc().mount(*texts, ctypes.c_ulong(flags), None)
    kernel.checked(result, f"mount {target}")


def drop_capabilities(machine: str) -> None:
    """Leaves nothing of what root or the owner of a name space may, but to open files."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    mine = (ctypes.c_uint32 * 6)()
    kernel.call(CAPGET[machine], header, mine)
    left = [mine[0] & ANY_FILE, mine[1] & ANY_FILE, 0, 0, 0, 0]
    kernel.call(CAPSET[machine], header, (ctypes.c_uint32 * 6)(*left))
