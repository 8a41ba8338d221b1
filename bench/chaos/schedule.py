"""What will be struck, and when: all of it drawn from one seed before anything starts.

The same seed gives the same strikes in the same order. What the processes were doing at that very
instant is not repeatable; that is why there are many strikes.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bench.chaos.kill_points import (
    RARE_WEB_POINTS,
    RECOVERY_POINTS,
    WEB_POINTS,
    WORKER_POINTS,
    Order,
    When,
)

# For so many minutes the numbers below are meant.
DEFAULT_MINUTES = 5.0
STRIKES = {
    "web kill": 105,
    "worker kill": 54,
    "beat kill": 6,
    "redis kill": 5,
    "redis rewind": 4,
    "redis flush": 4,
    "postgres stop": 6,
    "web freeze": 2,
}
# With a replica and a Sentinel there are these, too.
FAILOVERS = 8
FREEZE_S = 10.0
# How long Redis is away at most, how much older it comes back, how far its replica lags.
AWAY_S = {"redis kill": 1.5, "redis rewind": 6.0, "redis failover": 6.0}


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault. `at_s` counts from the beginning of the load."""

    at_s: float
    lane: str
    kind: str
    target: str
    # For a kill: die of this order, or of a signal at the instant if there is none.
    order: Order | None = None
    # How long Redis or PostgreSQL is away; how much older Redis or its replica is that comes back;
    # how long a freeze is.
    seconds: float = 0.0
    # A fault of Redis may take all web processes with it.
    with_webs: bool = False

    def __str__(self) -> str:
        how = f": {self.order}" if self.order else ""
        how += f", {self.seconds:.1f} s" if self.seconds else ""
        how += ", with every web process" if self.with_webs else ""
        return f"{self.at_s:7.1f} s  {self.kind:<13} {self.target}{how}"


def make_schedule(
    seed: int, *, minutes: float, webs: int, nodes: int = 1, has_failover: bool = False
) -> list[Strike]:
    """Draw the strikes of a run, in the order of time. A short run gets at least one of most."""
    chance = random.Random(seed)
    scale = minutes / DEFAULT_MINUTES
    draws: list[tuple[str, Callable[[random.Random, float, int], Strike]]] = [
        ("web kill", lambda c, at, n: kill_web(c, at, n, webs=webs)),
        ("worker kill", kill_worker),
        ("beat kill", lambda c, at, n: Strike(at, "beat", "beat kill", "beat")),
        ("redis kill", lambda c, at, n: strike_redis(c, at, n, kind="redis kill")),
        ("redis rewind", lambda c, at, n: strike_redis(c, at, n, kind="redis rewind")),
        ("redis flush", lambda c, at, n: strike_redis(c, at, n, kind="redis flush")),
        ("postgres stop", stop_postgres),
        ("web freeze", lambda c, at, n: freeze_web(c, at, webs=webs)),
    ]
    counts = dict(STRIKES)
    if has_failover:
        # The last, so that all others are as without it.
        draws.append(
            ("redis failover", lambda c, at, n: strike_redis(c, at, n, kind="redis failover"))
        )
        counts["redis failover"] = FAILOVERS
    strikes: list[Strike] = []
    for kind, draw in draws:
        # Nobody freezes in a run that is hardly longer than a freeze.
        least = 0 if kind == "web freeze" else 1
        count = max(round(counts[kind] * scale), least)
        for number, at_s in enumerate(instants(chance, count, minutes * 60)):
            strikes.append(draw(chance, at_s, number))
    return sorted(
        (aimed_at_a_node(chance, strike, nodes) for strike in strikes),
        key=lambda strike: strike.at_s,
    )


def aimed_at_a_node(chance: random.Random, strike: Strike, nodes: int) -> Strike:
    """Let a loss of Redis be that of one of several servers; without several, draw nothing."""
    if strike.lane != "redis" or nodes == 1:
        return strike
    return replace(strike, target=f"redis{chance.randint(1, nodes)}")


def instants(chance: random.Random, count: int, seconds: float) -> list[float]:
    """Spread instants over a time, each somewhere in its share of it."""
    share = seconds / max(count, 1)
    return [share * (number + chance.random()) for number in range(count)]


def kill_web(chance: random.Random, at_s: float, number: int, *, webs: int) -> Strike:
    role = f"web{number % webs + 1}"
    order = None
    if chance.random() < 0.65:
        points = RARE_WEB_POINTS if chance.random() < 0.05 else WEB_POINTS
        order = draw_order(chance, f"w{number}", points, most_calls=8)
    return Strike(at_s, role, "web kill", role, order=order)


def kill_worker(chance: random.Random, at_s: float, number: int) -> Strike:
    order = None
    if chance.random() < 0.75:
        order = draw_order(chance, f"k{number}", WORKER_POINTS, most_calls=3)
    return Strike(at_s, "worker", "worker kill", "worker", order=order)


def strike_redis(chance: random.Random, at_s: float, number: int, *, kind: str) -> Strike:
    """A loss of Redis; every other one kills the worker in the middle of its recovery."""
    order = None
    if number % 2:
        prefix = f"r{kind.removeprefix('redis ')}{number}"
        order = draw_order(chance, prefix, RECOVERY_POINTS, most_calls=2)
    return Strike(
        at_s,
        "redis",
        kind,
        "redis",
        order=order,
        seconds=round(chance.uniform(0.5, AWAY_S.get(kind, 1.5)), 1),
        with_webs=chance.random() < 0.4,
    )


def stop_postgres(chance: random.Random, at_s: float, number: int) -> Strike:
    return Strike(
        at_s, "postgres", "postgres stop", "postgres", seconds=round(chance.uniform(0.2, 2), 1)
    )


def freeze_web(chance: random.Random, at_s: float, *, webs: int) -> Strike:
    role = f"web{chance.randint(1, webs)}"
    return Strike(at_s, role, "web freeze", role, seconds=FREEZE_S)


def draw_order(
    chance: random.Random, order_id: str, points: Iterable[str], *, most_calls: int
) -> Order:
    when: When = "before" if chance.random() < 0.5 else "after"
    return Order(
        order_id=order_id,
        point=chance.choice(sorted(points)),
        when=when,
        call=chance.randint(1, most_calls),
    )


def count_kinds(strikes: Iterable[Strike]) -> Counter[str]:
    """Count strikes by kind."""
    return Counter(strike.kind for strike in strikes)
