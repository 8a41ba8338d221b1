"""The state of upstreams that all web processes share in Redis: open circuits and spared keys.

Not part of the wallet: it protects upstreams and decides no money, so it has no fence.
"""

from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import redis
from django.conf import settings

from billing.wallet.address import open_redis

TAG = "{routing}"
CIRCUITS = f"{TAG}:circuits"
MARKS = f"{TAG}:marks"
CHANGES = f"{TAG}:changes"
COUNTS = f"{TAG}:counts:"
# By web process: when it told what is under way, and that, by provider. Not of `health.lua`.
OPEN = f"{TAG}:open"
KEYS = (CIRCUITS, MARKS, CHANGES, COUNTS)

TIMEOUT_S = 3
SCRIPT = Path(__file__).with_name("health.lua")
BUCKET_MS = 10_000
KEPT_BUCKETS = 30


@dataclass(frozen=True, slots=True)
class CircuitLimits:
    """When a circuit opens, and for how long. The same in all processes."""

    # A provider's opens after this many failed connections in a row.
    row: int = 5
    # A route's opens if, of at least so many requests within the window, this share has failed.
    least_volume: int = 20
    share_percent: int = 50
    # Buckets of ten seconds each.
    window_buckets: int = 3
    # The pause before a circuit is tried again; it doubles with each failed try.
    open_ms: int = 10_000
    longest_open_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Shared:
    """An answer of Redis: open circuits and spared keys, with the milliseconds that are left."""

    is_granted: bool = False
    # By circuit: how long it stays open, and how long a try may still run.
    circuits: dict[str, tuple[int, int]] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)


def parts(limits: CircuitLimits, what: str, *arguments: Any) -> list[str | bytes | int]:
    """Return the Redis command that runs `health.lua`."""
    packed = orjson.dumps(arguments)
    return ["EVAL", _script(), len(KEYS), *KEYS, what, orjson.dumps(asdict(limits)), packed]


def parse(reply: bytes) -> Shared:
    """Parse the answer of `health.lua`."""
    answer = orjson.loads(reply)
    return Shared(
        is_granted=answer["granted"],
        circuits={name: (int(a), int(b)) for name, (a, b) in answer["circuits"].items()},
        marks={name: int(left) for name, left in answer["marks"].items()},
    )


def open_shared(**arguments: Any) -> redis.Redis:
    """Return a client for whoever is no web process; the caller closes it."""
    return open_redis(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        **arguments,
    )


@cache
def _script() -> bytes:
    return SCRIPT.read_bytes()
