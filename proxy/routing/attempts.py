"""Choose who serves a request, and try the next where the first refused.

A request is sent elsewhere only if it can't have run, or was refused in so many words; never
after the first byte of an answer, and not after a time-out: it may have run.
"""

import random
from collections.abc import Callable

import structlog

from proxy.routing.catalogue import Model, UpstreamRoute
from proxy.routing.refusals import to_client_error
from proxy.serving.inflight import Call, Interrupted, Reason
from proxy.upstream import (
    UpstreamAnswer,
    UpstreamClient,
    UpstreamError,
    UpstreamNotReached,
    UpstreamRefused,
    UpstreamTimedOut,
)

log = structlog.get_logger(__name__)

# A request that this many upstreams refused will not be served by one more.
MAX_ATTEMPTS = 4


def order_routes(routes: tuple[UpstreamRoute, ...]) -> list[UpstreamRoute]:
    """Return the routes in the order to try: by priority, and by chance within one.

    A route of weight 3 comes first three times as often as one of weight 1 (Efraimidis and
    Spirakis, "Weighted random sampling with a reservoir").
    """
    if len(routes) == 1:
        return list(routes)
    return sorted(routes, key=lambda route: (route.priority, -(_chance() ** (1 / route.weight))))


def _chance() -> float:
    return random.random()  # noqa: S311  # it spreads load and hides nothing


async def open_answer(
    call: Call,
    model: Model,
    client: UpstreamClient,
    *,
    path: str,
    body_for: Callable[[UpstreamRoute], bytes],
) -> UpstreamAnswer:
    """Send a request to the first upstream that takes it. Whoever gets the answer closes it.

    Raises Interrupted, the UpstreamError of the last try, or the ApiError that is the client's.
    """
    trouble: UpstreamError = UpstreamNotReached("there is no route")
    for route in order_routes(model.routes)[:MAX_ATTEMPTS]:
        try:
            return await _try(call, route, client, path=path, body=body_for(route))
        except UpstreamError as error:
            trouble = error
            _note_failure(call, error)
            if isinstance(error, UpstreamRefused):
                theirs = to_client_error(error, route, model.name)
                if theirs is not None:
                    raise theirs from error
            if not error.may_try_next:
                break
    raise trouble


async def _try(
    call: Call, route: UpstreamRoute, client: UpstreamClient, *, path: str, body: bytes
) -> UpstreamAnswer:
    upstream = route.upstream
    call.attempts += 1
    call.provider_name = upstream.name
    call.bills_after_cancel = upstream.bills_after_cancel
    # A stream's first event may take as long as an answer that is none.
    call.idle_timeout_s = max(upstream.idle_timeout_s, upstream.first_byte_timeout_s)
    call.limit(Reason.NO_ANSWER, upstream.first_byte_timeout_s)
    call.limit(Reason.TOO_LONG, upstream.total_timeout_s)
    try:
        with call.interruptible():
            answer = await client.post(
                upstream,
                path,
                body,
                secret=random.choice(upstream.secrets),  # noqa: S311  # spreads load, hides nothing
                request_id=call.facts.request_id,
            )
    except Interrupted as error:
        if error.reason in {Reason.NO_ANSWER, Reason.TOO_LONG}:
            raise UpstreamTimedOut(error.reason.value) from error
        raise
    call.limit(Reason.NO_ANSWER, None)
    if not call.facts.is_stream:
        call.first_byte_ms = call.connection.age_ms
    return answer


def _note_failure(call: Call, error: UpstreamError) -> None:
    """Tell staff. A circuit breaker shared by all processes would learn of it here."""
    status = error.status if isinstance(error, UpstreamRefused) else None
    log.warning(
        "upstream_failed",
        request_id=call.facts.request_id,
        provider=call.provider_name,
        attempt=call.attempts,
        kind=type(error).__name__,
        status=status,
    )
