"""What this process has seen of upstreams since it last told the others."""

from dataclasses import dataclass, field

# When a circuit opens by what it is told: after failures in a row, by their share, or never.
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
    """Outcomes by circuit. Emptied by whoever reports them."""

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
        """Empty it, and return what it held as `health.lua` takes it."""
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
