"""What a web process does with its memory once all is loaded."""

import ctypes
import mmap
import re
from pathlib import Path

from tokenproxy_site.memory import HUGE_PAGE_BYTES, lay_in_huge_pages, private_areas

MAPS = """\
55d0c0000000-55d0c0600000 rw-p 00000000 00:00 0                          [heap]
7f0000100000-7f0000900000 rw-p 00000000 00:00 0
7f0001000000-7f0001100000 rw-p 00000000 00:00 0
7f0002000000-7f0002400000 r-xp 00000000 fe:00 4711                       /usr/lib/libpython3.so
7f0003000000-7f0003400000 rw-p 00000000 fe:00 4712                       /usr/lib/libpython3.so
7f0004000000-7f0004400000 rw-s 00000000 00:01 2049                       /dev/zero (deleted)
7f0005000000-7f0005400000 ---p 00000000 00:00 0
7ffc00000000-7ffc00400000 rw-p 00000000 00:00 0                          [stack]
"""


def test_only_whole_huge_pages_of_private_memory_are_laid_anew() -> None:
    assert list(private_areas(MAPS.splitlines())) == [
        (0x55D0C0000000, 0x600000),
        # Begins and ends in the middle of a huge page.
        (0x7F0000200000, 0x600000),
    ]


def test_what_is_in_memory_stays_as_it_was() -> None:
    size = 4 * HUGE_PAGE_BYTES
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[:] = bytes(range(256)) * (size // 256)

        lay_in_huge_pages(ctypes.CDLL(None))

        assert memory[:] == bytes(range(256)) * (size // 256)
        assert huge_bytes() >= 3 * HUGE_PAGE_BYTES


def huge_bytes() -> int:
    """How much of this process is in huge pages."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    found = re.search(r"^AnonHugePages: +(\d+) kB$", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
