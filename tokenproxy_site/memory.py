"""How a web process treats its memory, once all is loaded."""

import ctypes
import gc
from collections.abc import Iterable, Iterator
from pathlib import Path

# glibc's numbers of these options, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# What is larger is given back at once: a body of an agent is not, and its copies are not either.
LARGE_BYTES = 1024 * 1024
# What is free at the end of a heap stays: to have it again costs a page fault for each 4 KiB, of
# which a body of 400 kB took 460.
KEPT_BYTES = 16 * 1024 * 1024
# How many objects more than now begin a collection: what 100 requests under way are made of. With
# Python's 700, each few requests that begin at once are searched for cycles, and have none.
GROWTH = 20_000
# Of the kernel: madvise(2), since Linux 6.1.
MADV_COLLAPSE = 25
HUGE_PAGE_BYTES = 2 * 1024 * 1024


def settle() -> None:
    """Leave what was loaded alone, in huge pages, and give large pieces back to the system.

    A collection looks at everything that was made since the last, and, every so often, at all:
    70 ms for our modules, in the middle of somebody's request. And glibc keeps pieces as large as
    the largest that was freed, once for each thread: hundreds of megabytes after large bodies.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GROWTH, *gc.get_threshold()[1:])
    library = ctypes.CDLL(None)
    # Other C libraries give large pieces back by themselves.
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    lay_in_huge_pages(library)


def lay_in_huge_pages(library: ctypes.CDLL) -> None:
    """Lay what is in memory now in huge pages, if the kernel does that; it takes no more memory.

    A processor knows the places of few pages at a time, and to find more took 3 to 5 % of each
    request, for pages of 4 KiB.
    """
    try:
        areas = list(private_areas(Path("/proc/self/maps").read_text().splitlines()))
    except OSError:
        return
    for start, size in areas:
        # Refused for an area of which nothing is in memory, and by older kernels for all.
        library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_COLLAPSE)


def private_areas(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the start and the size of what could be huge pages, of /proc/PID/maps (proc(5)).

    An area is a line as `7f35c0000000-7f35c4000000 rw-p 00000000 00:00 0`, with the name of a file
    or of a purpose behind it.
    """
    for line in lines:
        addresses, access, _offset, _device, inode, *name = line.split()
        if access != "rw-p" or inode != "0" or name not in ([], ["[heap]"]):
            continue
        first, last = (int(address, 16) for address in addresses.split("-"))
        start = -(-first // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
        end = last // HUGE_PAGE_BYTES * HUGE_PAGE_BYTES
        if start < end:
            yield start, end - start
