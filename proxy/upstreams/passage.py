"""Leave to try a route, with the tries of half-open circuits that it owes an end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.upstreams.verdicts import Blame, Verdict

if TYPE_CHECKING:
    from types import TracebackType

    from proxy.upstreams.health import Health
    from proxy.upstreams.routes import UpstreamRoute


class Passage:
    """Used as a context: whatever was not decided in it is given back at its end."""

    def __init__(self, health: Health, route: UpstreamRoute) -> None:
        self._health = health
        self._route = route
        # Circuits that let this one request through as their try, by the token of it.
        self.probes: dict[str, str] = {}

    def __enter__(self) -> Passage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def served(self) -> None:
        """Take note that the route answered: what was open closes."""
        for circuit in list(self.probes):
            self._end(circuit, "ok")

    def failed(self, verdict: Verdict) -> None:
        """Take note of a failure, as far as it speaks against a circuit."""
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
        """Give back the tries that were not made."""
        for circuit in list(self.probes):
            self._end(circuit, "")

    def _end(self, circuit: str, verdict: str, error: str = "") -> None:
        token = self.probes.pop(circuit, None)
        if token is not None:
            self._health.end_probe(circuit, token, verdict=verdict, error=error)
