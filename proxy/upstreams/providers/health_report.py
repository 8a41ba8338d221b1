"""The health of upstreams for staff: circuits, keys and the last five minutes."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import redis
from django.utils import timezone

from proxy.errors import HealthUnknown
from proxy.models import Provider, ProviderKey, Route
from proxy.upstreams import shared
from proxy.upstreams.loading import to_key


@dataclass(frozen=True, slots=True)
class Figures:
    """The counts of one circuit or key in the last five minutes, and its state now."""

    ok: int = 0
    failed: int = 0
    latency_ms_sum: int = 0
    # Seconds until it is tried again; None if it is closed, 0 if a try is due or on its way.
    open_for_s: float | None = None
    error: str = ""
    error_age_s: float | None = None

    @property
    def asked(self) -> int:
        return self.ok + self.failed

    @property
    def share_percent(self) -> float | None:
        """Share of successes, None if nothing was asked."""
        return 100 * self.ok / self.asked if self.asked else None

    @property
    def latency_ms(self) -> int | None:
        """Mean time to an answer's headers."""
        return self.latency_ms_sum // self.ok if self.ok and self.latency_ms_sum else None


@dataclass(frozen=True, slots=True)
class KeyHealth:
    """One key: its figures, and for how long it is spared for which models ("" for all)."""

    key: ProviderKey
    figures: Figures
    spared: list[tuple[str, float, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """One provider with its routes and keys."""

    provider: Provider
    figures: Figures
    routes: list[tuple[Route, Figures]]
    keys: list[KeyHealth]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    now_ms: float
    states: dict[str, dict[str, Any]]
    marks: dict[str, str]
    counts: dict[str, list[tuple[int, int, int]]]

    def figures(self, circuit: str) -> Figures:
        state = self.states.get(circuit, {})
        open_until = state.get("open_until", 0)
        error_at = state.get("error_at")
        counts = self.counts.get(circuit, [])
        return Figures(
            ok=sum(ok for ok, _, _ in counts),
            failed=sum(failed for _, failed, _ in counts),
            latency_ms_sum=sum(latency_ms for _, _, latency_ms in counts),
            open_for_s=max(0.0, open_until - self.now_ms) / 1_000 if open_until else None,
            error=state.get("error", ""),
            error_age_s=None if error_at is None else (self.now_ms - error_at) / 1_000,
        )

    def spared(self, mark: str) -> list[tuple[str, float, str]]:
        """Return for which models a key is spared, for how many seconds, and why."""
        found = []
        for name, text in self.marks.items():
            own, _, model = name.partition("@")
            until_ms, _, reason = text.partition(" ")
            left_s = (float(until_ms) - self.now_ms) / 1_000
            if own == mark and left_s > 0:
                found.append((model, left_s, reason))
        return sorted(found)


def read_health() -> list[ProviderHealth]:
    """Read the state of every provider. Raises HealthUnknown."""
    providers = list(Provider.objects.prefetch_related("keys", "routes__model"))
    circuits = [f"p{provider.pk}" for provider in providers]
    for provider in providers:
        circuits += [f"r{route.pk}" for route in provider.routes.all()]
        circuits += [f"k{key.pk}" for key in provider.keys.all()]
    snapshot = _read(circuits)
    return [
        ProviderHealth(
            provider,
            snapshot.figures(f"p{provider.pk}"),
            [(route, snapshot.figures(f"r{route.pk}")) for route in provider.routes.all()],
            [_key_health(key, snapshot) for key in provider.keys.all()],
        )
        for provider in providers
    ]


def _key_health(key: ProviderKey, snapshot: _Snapshot) -> KeyHealth:
    usable = to_key(key)
    spared = snapshot.spared(usable.mark) if usable else []
    return KeyHealth(key, snapshot.figures(f"k{key.pk}"), spared)


def _read(circuits: list[str]) -> _Snapshot:
    with shared.open_shared(decode_responses=True) as client:
        try:
            pipeline = client.pipeline(transaction=False)
            pipeline.hgetall(shared.CIRCUITS)
            pipeline.hgetall(shared.MARKS)
            for circuit in circuits:
                pipeline.hgetall(shared.COUNTS + circuit)
            states, marks, *counts = pipeline.execute()
        except redis.RedisError as error:
            raise HealthUnknown("Redis does not answer.") from error
    now_ms = timezone.now().timestamp() * 1_000
    oldest = now_ms // shared.BUCKET_MS - shared.KEPT_BUCKETS
    return _Snapshot(
        now_ms,
        {name: orjson.loads(packed) for name, packed in states.items()},
        marks,
        {
            circuit: [_read_bucket(text) for at, text in found.items() if int(at) > oldest]
            for circuit, found in zip(circuits, counts, strict=True)
        },
    )


def _read_bucket(text: str) -> tuple[int, int, int]:
    ok, failed, latency_ms = map(int, text.split())
    return ok, failed, latency_ms
