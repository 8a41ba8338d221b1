"""Circuits as one process sees them: passages through them, and outcomes to report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.upstreams.verdicts import Blame, Verdict

if TYPE_CHECKING:
    from proxy.upstreams.health import Health
    from proxy.upstreams.routes import UpstreamRoute

# When a circuit opens: after failures in a row, by the share of failures, or never.
GUARD_ROW, GUARD_RATE, GUARD_NONE = "row", "rate", ""


@dataclass(slots=True)
class Seen:
    """Outcomes of one circuit."""

    guard: str
    ok: int = 0
    failed: int = 0
    # Failures since the last success.
    row: int = 0
    latency_ms: int = 0
    error: str = ""


@dataclass(slots=True)
class Tally:
    """Outcomes by circuit, until they are reported."""

    seen: dict[str, Seen] = field(default_factory=dict)

    def note_ok(self, circuit: str, guard: str, *, latency_ms: int = 0) -> None:
        """Count a success."""
        seen = self._find(circuit, guard)
        seen.ok += 1
        seen.row = 0
        seen.latency_ms += latency_ms

    def note_failed(self, circuit: str, guard: str, error: str) -> None:
        """Count a failure."""
        seen = self._find(circuit, guard)
        seen.failed += 1
        seen.row += 1
        seen.error = error

    def take(self) -> list[list[str | int | bool]]:
        """Empty it, and return the outcomes in the form that `health.lua` takes."""
        seen, self.seen = self.seen, {}
        return [
            [name, one.ok, one.failed, one.row, one.ok > 0, one.latency_ms, one.error, one.guard]
            for name, one in seen.items()
        ]

    def _find(self, circuit: str, guard: str) -> Seen:
        seen = self.seen.get(circuit)
        if seen is None:
            seen = self.seen[circuit] = Seen(guard)
        return seen


class Passage:
    """One request's permission to pass a route's circuits. Whoever got it closes it."""

    def __init__(self, health: Health, route: UpstreamRoute) -> None:
        self._health = health
        self._route = route
        # The open circuits that this request is the try of, each with the id of its try.
        self.probes: dict[str, str] = {}

    def served(self) -> None:
        """Record that the route answered, which closes the circuits that this request tried."""
        for circuit in list(self.probes):
            self._end(circuit, "ok")

    def failed(self, verdict: Verdict) -> None:
        """Record what a failure says of the provider's circuit and of the route's."""
        provider, route = self._route.upstream.circuit, self._route.circuit
        if verdict.blame is Blame.PROVIDER:
            self._end(provider, "failed", verdict.summary)
        else:
            self._end(provider, "ok")
        if verdict.blame is Blame.ROUTE:
            self._end(route, "failed", verdict.summary)
        elif verdict.blame is Blame.NOBODY:
            self._end(route, "ok")

    def close(self) -> None:
        """Give back tries without an outcome."""
        for circuit in list(self.probes):
            self._end(circuit, "")

    def _end(self, circuit: str, verdict: str, error: str = "") -> None:
        probe_id = self.probes.pop(circuit, None)
        if probe_id is not None:
            self._health.end_probe(circuit, probe_id, verdict=verdict, error=error)
