"""A parent's memory lies in large pages, where the kernel can."""

import ctypes
import mmap
import re
from pathlib import Path

from testing.preloaded import huge
from testing.project import Project


def large(process: int | str) -> int:
    """Returns the KiB of a process that lie in large pages."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = re.search(r"^AnonHugePages: +(\d+) kB$", text, re.MULTILINE)
    assert found
    return int(found[1])


def test_what_was_written_is_the_same_in_large_pages() -> None:
    with mmap.mmap(-1, 4 * huge.SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        content = bytes(range(256)) * (len(memory) // 256)
        memory[:] = content
        before = large("self")
        huge.collapse()
        assert memory[:] == content
        assert (large("self") > before) == can(memory)


def can(memory: mmap.mmap) -> bool:
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    first = -(-address // huge.SIZE) * huge.SIZE
    return bool(advise(first, huge.SIZE, huge.COLLAPSE) == 0)


def test_a_parent_has_its_imports_in_them(tmp_path: Path) -> None:
    ours = Project(tmp_path).script("import os; print(os.getppid())").stdout
    with mmap.mmap(-1, 4 * huge.SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[:] = bytes(len(memory))
        assert (large(int(ours)) > 20 << 10) == can(memory)
