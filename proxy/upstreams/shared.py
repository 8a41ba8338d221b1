"""What all web processes know of upstreams, in Redis: open circuits and keys to spare.

Not part of the wallet: it protects upstreams and decides no money, so it has no fence.
"""

from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import orjson

TAG = "{routing}"
CIRCUITS = f"{TAG}:circuits"
MARKS = f"{TAG}:marks"
CHANGES = f"{TAG}:changes"
COUNTS = f"{TAG}:counts:"
KEYS = (CIRCUITS, MARKS, CHANGES, COUNTS)

SCRIPT = Path(__file__).with_name("health.lua")
BUCKET_MS = 10_000
KEPT_BUCKETS = 30


@dataclass(frozen=True, slots=True)
class CircuitLimits:
    """When a circuit opens, and for how long. The same in all processes."""

    # So many connections in a row that could not be opened.
    row: int = 5
    # Of so many requests within the window, at least this share has failed.
    least_volume: int = 20
    share_percent: int = 50
    # Of ten seconds each.
    window_buckets: int = 3
    # The pause before a circuit is tried again; it doubles with each failed try.
    open_ms: int = 10_000
    longest_open_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Shared:
    """An answer of Redis: what is not in order now, and for how many milliseconds yet."""

    is_granted: bool = False
    # Circuit: how long it stays open, and how long someone may be trying it.
    circuits: dict[str, tuple[int, int]] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)


def parts(limits: CircuitLimits, what: str, *arguments: Any) -> list[str | bytes | int]:
    """Return the Redis command that does something of `health.lua`."""
    packed = orjson.dumps(arguments)
    return ["EVAL", _script(), len(KEYS), *KEYS, what, orjson.dumps(asdict(limits)), packed]


def parse(reply: bytes) -> Shared:
    """Read the answer to such a command."""
    answer = orjson.loads(reply)
    return Shared(
        is_granted=answer["granted"],
        circuits={name: (int(a), int(b)) for name, (a, b) in answer["circuits"].items()},
        marks={name: int(left) for name, left in answer["marks"].items()},
    )


@cache
def _script() -> bytes:
    return SCRIPT.read_bytes()
