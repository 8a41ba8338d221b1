"""Choose the upstream to ask, and the next one if it fails.

A request is sent elsewhere only if it can't have run or was explicitly refused; never after the
first byte of an answer, and never after a time-out, when it may have run. A budget limits how often
a provider gets requests that another upstream did not serve.
"""

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self, TypeVar

import structlog

from billing.catalogue.costs import Costs
from proxy.errors import UpstreamError, UpstreamNotReached, UpstreamRefused
from proxy.upstreams.circuits import Passage
from proxy.upstreams.client import UpstreamAnswer, UpstreamClient
from proxy.upstreams.client_errors import to_client_error
from proxy.upstreams.health import Health
from proxy.upstreams.routes import UpstreamKey, UpstreamRoute
from proxy.upstreams.verdicts import Blame, Next, judge

log = structlog.get_logger(__name__)

# A request that this many upstreams refused is unlikely to be served by one more.
MAX_ATTEMPTS = 4
SHARE = 0.2
# The second tries that an unused budget holds; a provider starts with as many.
RESERVE = 100.0


class Ranked(Protocol):
    """A route or key, which is tried by priority and weight."""

    @property
    def priority(self) -> int: ...

    @property
    def weight(self) -> int: ...


R = TypeVar("R", bound=Ranked)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to an upstream: its number, route and key."""

    number: int
    route: UpstreamRoute
    key: UpstreamKey
    passage: Passage

    @property
    def provider_name(self) -> str:
        """The name of the provider that is asked."""
        return self.route.upstream.name

    @property
    def costs(self) -> Costs:
        """The provider's prices."""
        return self.route.costs


class RetryBudget:
    """How many second tries a provider may be sent, so that retries do not multiply an outage.

    A token bucket per provider and process (Finagle's retry budget). A request adds a fifth of a
    second try at every provider that sells its model, so once the reserve is used up, at most a
    fifth of the traffic is repeated at each. By then the circuit of the failing route is open, and
    requests go elsewhere on their first try. A standby that only gets second tries earns them too.
    """

    def __init__(self, *, share: float = SHARE, reserve: float = RESERVE) -> None:
        self._share = share
        self._reserve = reserve
        self._left: dict[int, float] = {}

    def note_request(self, provider_ids: Iterable[int]) -> None:
        """Add to the budgets of the providers that could serve a request."""
        for provider_id in provider_ids:
            left = self._left.get(provider_id, self._reserve)
            self._left[provider_id] = min(self._reserve, left + self._share)

    def take(self, provider_id: int) -> bool:
        """Take one second try from a provider's budget. False if none is left."""
        left = self._left.get(provider_id, self._reserve)
        if left < 1:
            return False
        self._left[provider_id] = left - 1
        return True


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The clients that a web process sends requests with. One per process."""

    client: UpstreamClient
    health: Health
    budget: RetryBudget

    async def close(self) -> None:
        """Close every connection."""
        await self.client.close()
        await self.health.close()


class Attempts:
    """The attempts to serve one request, one after the other; report each failure.

    with attempts:
        while True:
            attempt = await attempts.next()
            try:
                return await attempts.send(attempt, body)
            except UpstreamError as error:
                attempts.failed(attempt, error, sent=…)

    They go by routes, and by the keys of each. Paused providers are left out.
    """

    def __init__(
        self,
        upstreams: Upstreams,
        routes: Sequence[UpstreamRoute],
        *,
        model_name: str,
        path: str,
        request_id: str,
    ) -> None:
        usable = [route for route in routes if not route.upstream.is_paused]
        upstreams.budget.note_request({route.upstream.id for route in usable})
        self._upstreams = upstreams
        self._routes = iter(in_order(usable))
        # The route that is tried, the keys of it that are left, and the passage through circuits.
        self._route: UpstreamRoute | None = None
        self._keys: Iterator[UpstreamKey] = iter(())
        self._passage: Passage | None = None
        self._model_name = model_name
        self._path = path
        self._request_id = request_id
        self._made = 0
        self._trouble: UpstreamError = UpstreamNotReached("no route may be tried now")
        # Whether the next attempt counts as a second try. A refused key does not make it one.
        self._is_repeated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give back what a circuit's try did not use."""
        self._leave()

    async def next(self) -> Attempt:
        """Return the next attempt. Raises the last UpstreamError if none is left.

        Skips open circuits and spared keys.
        """
        health = self._upstreams.health
        while True:
            if self._route is not None and self._passage is not None:
                for key in self._keys:
                    if not health.is_spared(key, self._route):
                        self._take_leave(self._route)
                        return Attempt(self._made, self._route, key, self._passage)
            self._leave()
            self._route = next(self._routes, None)
            if self._route is None:
                raise self._trouble
            self._passage = await health.enter(self._route)
            self._keys = iter(in_order(self._route.upstream.keys))

    def _leave(self) -> None:
        if self._passage is not None:
            self._passage.close()
            self._passage = None

    async def send(self, attempt: Attempt, body: bytes) -> UpstreamAnswer:
        """Send an attempt. The caller closes the answer. Raises UpstreamError, for `failed`."""
        route, key, health = attempt.route, attempt.key, self._upstreams.health
        began_at = time.monotonic()
        answer = await self._upstreams.client.post(
            route.upstream, self._path, body, secret=key.secret, request_id=self._request_id
        )
        latency_ms = int((time.monotonic() - began_at) * 1_000)
        health.note_answer(route, key, latency_ms=latency_ms)
        answer.on_ended = partial(health.note_ended, route, latency_ms=latency_ms)
        attempt.passage.served()
        return answer

    def failed(self, attempt: Attempt, error: UpstreamError, *, sent: bytes = b"") -> None:
        """Record a failure. `sent` is what the client sent, whose own words may come back.

        Raises it if the request may not go elsewhere, or an ApiError if the client is at fault.
        """
        verdict = judge(error)
        self._trouble = error
        if verdict.next is Next.ROUTE:
            self._keys = iter(())
        self._is_repeated = verdict.blame is not Blame.KEY_REVOKED
        attempt.passage.failed(verdict)
        self._upstreams.health.note_failure(
            attempt.route, attempt.key, verdict, retry_after_s=error.retry_after_s
        )
        log.warning(
            "upstream_failed",
            request_id=self._request_id,
            provider=attempt.provider_name,
            attempt=attempt.number,
            blame=verdict.blame.value,
            reason=verdict.summary,
        )
        if isinstance(error, UpstreamRefused):
            theirs = to_client_error(error, attempt.route, self._model_name, sent=sent)
            if theirs is not None:
                raise theirs from error
        if verdict.next is Next.NOWHERE:
            raise error

    def _take_leave(self, route: UpstreamRoute) -> None:
        """Count one more attempt. Raises the last failure if no more are allowed."""
        if self._made >= MAX_ATTEMPTS:
            raise self._trouble
        if self._is_repeated and not self._upstreams.budget.take(route.upstream.id):
            log.warning("retry_budget_used_up", provider=route.upstream.name)
            raise self._trouble
        self._made += 1


def in_order(ranked: Iterable[R]) -> list[R]:
    """Return routes or keys in the order to try them: by priority, and at random within one.

    One of weight 3 comes first three times as often as one of weight 1 (Efraimidis and
    Spirakis, "Weighted random sampling with a reservoir").
    """
    found = list(ranked)
    if len(found) > 1:
        found.sort(key=lambda one: (one.priority, -(_chance() ** (1 / one.weight))))
    return found


def _chance() -> float:
    return random.random()  # noqa: S311  # it spreads load and hides nothing
