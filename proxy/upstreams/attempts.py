"""Choose who serves a request, and try the next where the first refused.

A request is sent elsewhere only if it can't have run, or was refused in so many words; never
after the first byte of an answer, and not after a time-out: it may have run. How often a provider
is sent what another did not serve is limited by a budget.
"""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import structlog

from proxy.errors import (
    EndpointNotServed,
    Interrupted,
    Reason,
    UpstreamError,
    UpstreamNotReached,
    UpstreamRefused,
    UpstreamTimedOut,
)
from proxy.serving.inflight import Call
from proxy.upstreams.budget import RetryBudget
from proxy.upstreams.catalogue import Model
from proxy.upstreams.client import UpstreamAnswer, UpstreamClient
from proxy.upstreams.client_errors import to_client_error
from proxy.upstreams.health import Health
from proxy.upstreams.passage import Passage
from proxy.upstreams.routes import UpstreamKey, UpstreamRoute
from proxy.upstreams.verdicts import Blame, Next, Verdict, judge

log = structlog.get_logger(__name__)

# A request that this many upstreams refused will not be served by one more.
MAX_ATTEMPTS = 4


class Ranked(Protocol):
    """What is tried in an order."""

    @property
    def priority(self) -> int: ...

    @property
    def weight(self) -> int: ...


R = TypeVar("R", bound=Ranked)


@dataclass(frozen=True, slots=True)
class Upstreams:
    """What a web process sends requests with. One per process."""

    client: UpstreamClient
    health: Health
    budget: RetryBudget

    async def close(self) -> None:
        """Close every connection."""
        await self.client.close()
        await self.health.close()


def in_order(ranked: Iterable[R]) -> list[R]:
    """Return routes or keys in the order to try: by priority, and by chance within one.

    One of weight 3 comes first three times as often as one of weight 1 (Efraimidis and
    Spirakis, "Weighted random sampling with a reservoir").
    """
    found = list(ranked)
    if len(found) > 1:
        found.sort(key=lambda one: (one.priority, -(_chance() ** (1 / one.weight))))
    return found


def _chance() -> float:
    return random.random()  # noqa: S311  # it spreads load and hides nothing


async def open_answer(
    call: Call,
    model: Model,
    client: Upstreams,
    *,
    path: str,
    body_for: Callable[[UpstreamRoute], bytes],
) -> UpstreamAnswer:
    """Send a request to the first upstream that takes it. Whoever gets the answer closes it.

    Raises Interrupted, the UpstreamError of the last try, or the ApiError that is the client's.
    """
    routes = [route for route in model.routes if route.serves(path)]
    if not routes:
        raise EndpointNotServed(model.name, path)
    client.budget.note_request({route.upstream.id for route in routes})
    search = _Search(call, model, client, path, body_for)
    for route in in_order(routes):
        passage = await client.health.enter(route)
        if passage is None:
            continue
        with passage:
            answer = await search.try_route(route, passage)
        if answer is not None:
            return answer
    raise search.trouble


class _Search:
    """The tries of one request."""

    def __init__(
        self,
        call: Call,
        model: Model,
        upstreams: Upstreams,
        path: str,
        body_for: Callable[[UpstreamRoute], bytes],
    ) -> None:
        self._call = call
        self._model = model
        self._upstreams = upstreams
        self._path = path
        self._body_for = body_for
        self.trouble: UpstreamError = UpstreamNotReached("no route may be tried now")
        # Whether the next try repeats what an upstream might have had trouble with.
        self._is_repeated = False

    async def try_route(self, route: UpstreamRoute, passage: Passage) -> UpstreamAnswer | None:
        """Try a route with one key after the other. None if another route may be tried.

        Raises as `open_answer`.
        """
        health = self._upstreams.health
        body: bytes | None = None
        for key in in_order(route.upstream.keys):
            if health.is_spared(key, route):
                continue
            self._pay(route)
            body = body or route.adaptation.apply(self._body_for(route))
            try:
                answer = await self._send(route, key, body)
            except UpstreamError as error:
                if self._after(error, route, key, passage) is Next.ROUTE:
                    return None
            else:
                passage.served()
                return answer
        return None

    def _pay(self, route: UpstreamRoute) -> None:
        """Take leave for one more try. Raises the trouble so far if there is none."""
        budget, provider_id = self._upstreams.budget, route.upstream.id
        if self._call.attempts >= MAX_ATTEMPTS:
            raise self.trouble
        if self._is_repeated and not budget.take(provider_id):
            log.warning("retry_budget_used_up", provider=route.upstream.name)
            raise self.trouble

    async def _send(self, route: UpstreamRoute, key: UpstreamKey, body: bytes) -> UpstreamAnswer:
        began_at = time.monotonic()
        answer = await _send(
            self._call, route, key, self._upstreams.client, path=self._path, body=body
        )
        latency_ms = int((time.monotonic() - began_at) * 1_000)
        health = self._upstreams.health
        health.note_answer(route, key, latency_ms=latency_ms)
        answer.on_ended = partial(health.note_ended, route, latency_ms=latency_ms)
        return answer

    def _after(
        self, error: UpstreamError, route: UpstreamRoute, key: UpstreamKey, passage: Passage
    ) -> Next:
        """Take note of a failure and say where to go on. Raises it if nowhere."""
        verdict = judge(error)
        is_refusal = isinstance(error, UpstreamRefused)
        self.trouble = error
        self._is_repeated = verdict.blame is not Blame.KEY_REVOKED
        passage.failed(verdict)
        self._upstreams.health.note_failure(
            route, key, verdict, retry_after_s=error.retry_after_s if is_refusal else None
        )
        _log_failure(self._call, verdict)
        if isinstance(error, UpstreamRefused):
            theirs = to_client_error(error, route, self._model.name)
            if theirs is not None:
                raise theirs from error
        if verdict.next is Next.NOWHERE:
            raise error
        return verdict.next


async def _send(
    call: Call,
    route: UpstreamRoute,
    key: UpstreamKey,
    client: UpstreamClient,
    *,
    path: str,
    body: bytes,
) -> UpstreamAnswer:
    upstream = route.upstream
    call.provider_name = upstream.name
    call.costs = route.costs
    call.bills_after_cancel = upstream.bills_after_cancel
    call.idle_timeout_s = upstream.idle_timeout_s
    # The first byte of an answer in one piece comes when all of it is made. Of a stream, the relay
    # lifts the limit: headers alone are no answer.
    if call.facts.is_stream:
        call.limit(Reason.NO_ANSWER, upstream.first_byte_timeout_s)
    call.limit(Reason.TOO_LONG, upstream.total_timeout_s)
    try:
        with call.interruptible():
            call.sent()
            answer = await client.post(
                upstream, path, body, secret=key.secret, request_id=call.facts.request_id
            )
    except Interrupted as error:
        if error.reason in {Reason.NO_ANSWER, Reason.TOO_LONG}:
            raise UpstreamTimedOut(error.reason.value) from error
        raise
    except (UpstreamRefused, UpstreamNotReached):
        call.answered(is_refused=True)
        raise
    call.answered(is_refused=False)
    if not call.facts.is_stream:
        call.first_byte_ms = call.connection.age_ms
    return answer


def _log_failure(call: Call, verdict: Verdict) -> None:
    log.warning(
        "upstream_failed",
        request_id=call.facts.request_id,
        provider=call.provider_name,
        attempt=call.attempts,
        blame=verdict.blame.value,
        reason=verdict.summary,
    )
