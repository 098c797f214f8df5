"""What a process has freed is the system's again at once, and not its own for what it asks next."""

import ctypes

LARGE = 1 << 20
"""Bytes from which on memory is the system's own pages, and not a part of a heap."""
MMAP_THRESHOLD = -3
"""mallopt's number of that."""


def give_back() -> None:
    """Gives back what is free, and from now on what is large and freed.

    glibc would raise the limit with the first large piece that is freed, and then keep pieces of
    many sizes in heaps, which layers that come and go fill with holes. Other C libraries keep less.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(MMAP_THRESHOLD, LARGE)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
