"""How a web process treats its memory, once all is loaded."""

import ctypes
import gc

# glibc's numbers of these options, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE_BYTES = 256 * 1024


def settle() -> None:
    """Leave what was loaded alone, and give large pieces back to the system.

    A collection looks at everything that was made since the last, and, every so often, at all:
    70 ms for our modules, in the middle of somebody's request. And glibc keeps pieces as large as
    the largest that was freed, once for each thread: hundreds of megabytes after large bodies.
    """
    gc.collect()
    gc.freeze()
    library = ctypes.CDLL(None)
    # Other C libraries give large pieces back by themselves.
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)
