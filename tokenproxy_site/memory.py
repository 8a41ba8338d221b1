"""How a web process treats its memory, once all is loaded."""

import ctypes
import gc

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


def settle() -> None:
    """Leave what was loaded alone, and give large pieces back to the system.

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
