"""The health of upstreams for staff: circuits, keys and the last five minutes."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
import redis
from django.conf import settings
from django.utils import timezone

from proxy.errors import HealthUnknown
from proxy.models import Provider, ProviderKey, Route
from proxy.upstreams import shared
from proxy.upstreams.loading import to_key

# Processes tell what they have under way every second; one that is silent for longer has died.
OPEN_KEPT_S = 5


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
    # Requests that it works on now, in all processes, and for how long the oldest.
    under_way: int = 0
    oldest_s: float = 0.0

    @property
    def is_draining(self) -> bool:
        """Tell whether a paused provider has requests yet, or may still get some."""
        paused_at = self.provider.paused_at
        if paused_at is None:
            return False
        known_by = paused_at + timedelta(seconds=settings.CATALOGUE_REFRESH_S + OPEN_KEPT_S)
        return self.under_way > 0 or timezone.now() < known_by


@dataclass(frozen=True, slots=True)
class _Snapshot:
    now_ms: float
    states: dict[str, dict[str, Any]]
    marks: dict[str, str]
    counts: dict[str, list[tuple[int, int, int]]]
    # Requests under way by provider, and since how many ms the oldest.
    open: dict[int, tuple[int, float]]

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

    def under_way(self, provider: Provider) -> tuple[int, float]:
        """Return how many requests a provider works on, and for how many seconds the oldest."""
        count, oldest_ms = self.open.get(provider.pk, (0, 0))
        return count, oldest_ms / 1_000

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
            *snapshot.under_way(provider),
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
            pipeline.hgetall(shared.OPEN)
            for circuit in circuits:
                pipeline.hgetall(shared.COUNTS + circuit)
            states, marks, open_requests, *counts = pipeline.execute()
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
        _add_up(open_requests, now_ms),
    )


def _add_up(processes: dict[str, str], now_ms: float) -> dict[int, tuple[int, float]]:
    """Add up what the processes have under way; one that is silent has died."""
    found: dict[int, tuple[int, float]] = {}
    for packed in processes.values():
        at_ms, by_provider = orjson.loads(packed)
        silent_ms = now_ms - at_ms
        if silent_ms > OPEN_KEPT_S * 1_000:
            continue
        for provider_id, (count, age_ms) in by_provider.items():
            before, oldest_ms = found.get(int(provider_id), (0, 0.0))
            oldest_ms = max(oldest_ms, age_ms + max(silent_ms, 0.0))
            found[int(provider_id)] = before + count, oldest_ms
    return found


def _read_bucket(text: str) -> tuple[int, int, int]:
    ok, failed, latency_ms = map(int, text.split())
    return ok, failed, latency_ms
