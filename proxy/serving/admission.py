"""Admit a request: work out its worst case, place a hold, and note it in the journal."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from billing.catalogue.pricing import Rates, round_up
from billing.exceptions import (
    CapReached,
    InsufficientCredits,
    Limited,
    RateLimited,
    RequestTooLarge,
    WalletError,
    WalletRecovering,
)
from billing.wallet.client import HoldRequest, Placed
from billing.wallet.usage import RequestFacts
from proxy.errors import InvalidRequest, ModelNotFound
from proxy.http.connection import ClientConnection
from proxy.http.headers import rate_limit_headers
from proxy.metering.bounds import Reader, bound_by_size, bound_prediction, may_count
from proxy.metering.prompt import Prompt
from proxy.parsing.image_urls import find_remote_image
from proxy.parsing.jsonbody import SMALL_BYTES
from proxy.parsing.request import ModelRequest
from proxy.serving.call import Admission, beyond_maximum
from proxy.serving.counting import bound_prompt
from proxy.serving.endpoints import Endpoint
from proxy.serving.keys import KeyFacts
from proxy.serving.runtime import Runtime
from proxy.serving.standing import ask_wallet, find_standing
from proxy.upstreams.catalogue import Model
from proxy.upstreams.routes import UpstreamRoute

log = structlog.get_logger(__name__)

# Ten times the longest answer of any model; keeps every product within what Redis counts exactly.
MAX_MAX_TOKENS = 10_000_000


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst case of a request, as a hold states it."""

    fixed_millicredits: int
    unit_millicredits: int
    units_wanted: int
    units_least: int
    # The same for the limit of tokens per minute.
    fixed_tokens: int
    unit_tokens: int
    # What may be billed as written beside the maximum of each answer.
    beside_tokens: int

    @property
    def most_credits(self) -> int:
        """What is held of a balance that affords all of it."""
        return round_up(self.fixed_millicredits + self.unit_millicredits * self.units_wanted)

    @property
    def most_tokens(self) -> int:
        """What is taken of the tokens per minute then."""
        return self.fixed_tokens + self.unit_tokens * self.units_wanted


async def admit(
    runtime: Runtime,
    connection: ClientConnection,
    key: KeyFacts,
    request: ModelRequest,
    *,
    endpoint: Endpoint,
    model: Model,
    is_precounted: bool = False,
) -> Admission:
    """Place a hold for a request's worst case. Raises the ApiError or WalletError that refuses it.

    From then on the caller must end the hold.
    """
    routes = find_routes(request, endpoint, model)
    prompt = await take_apart(runtime, connection, key, request, endpoint)
    facts = make_facts(connection, key, model, endpoint=endpoint.name, is_stream=request.stream)

    async def hold(worst: Worst) -> Placed:
        return await place(runtime, connection, key, facts, worst, is_precounted=is_precounted)

    try:
        find = partial(find_worst, request, prompt, model=model, routes=routes)
        placed = await _hold_by_size(runtime, key, prompt, model.reader, find=find, hold=hold)
        if placed is None:
            counted = await bound_prompt(runtime.work, key.wallet_id, prompt, model.reader)
            placed = await hold(find(counted))
    except RateLimited as refused:
        runtime.throttle.note(key, refused)
        raise
    runtime.headroom.note(key, placed)
    try:
        runtime.journal.start(facts, placed.held_credits)
    except OSError as error:
        # Without the journal a crash could lose the charge, so no request starts without it.
        log.error("journal_not_written", exc_info=True)
        await runtime.wallet.void(facts)
        raise WalletRecovering("The journal can't be written.") from error
    headers = rate_limit_headers(placed.rate)
    if request.client_max_tokens is None and request.own_max_tokens_field is not None:
        headers["x-tokenproxy-max-tokens"] = str(placed.units)
    return Admission(
        facts, request, model, routes, prompt, placed.held_credits, placed.units, headers
    )


def find_routes(
    request: ModelRequest, endpoint: Endpoint, model: Model
) -> tuple[UpstreamRoute, ...]:
    """Return the routes that may serve a request. Raises EndpointNotServed, InvalidRequest."""
    routes = model.routes_for(endpoint.path)
    if not any(route.upstream.intake.takes_data_urls_only for route in routes):
        return routes
    remote = find_remote_image(request.body)
    if remote is None:
        return routes
    fetching = tuple(route for route in routes if not route.upstream.intake.takes_data_urls_only)
    if not fetching:
        raise InvalidRequest(
            f"'{remote}' must be a data URL: this model fetches no images.",
            param=remote,
            code="invalid_value",
        )
    return fetching


async def take_apart(
    runtime: Runtime,
    connection: ClientConnection,
    key: KeyFacts,
    request: ModelRequest,
    endpoint: Endpoint,
) -> Prompt:
    """Take a request apart into what is counted; a large one in its wallet's turn."""
    if connection.body_bytes <= SMALL_BYTES:
        return endpoint.take_apart(request.body, request.model)
    return await runtime.work.step(key.wallet_id, endpoint.take_apart, request.body, request.model)


async def _hold_by_size(
    runtime: Runtime,
    key: KeyFacts,
    prompt: Prompt,
    reader: Reader,
    *,
    find: Callable[[int], Worst],
    hold: Callable[[Worst], Awaitable[Placed]],
) -> Placed | None:
    """Hold a prompt by its size, all of the maximum with it; None if it is to be counted first.

    Raises what refuses the request however its prompt is measured.
    """
    headroom = runtime.headroom
    if not (headroom.is_known(key) and may_count(prompt, reader)):
        return None
    worst = find(bound_by_size(prompt, reader))
    if not headroom.is_ample(key, credits=worst.most_credits, tokens=worst.most_tokens):
        return None
    try:
        return await hold(replace(worst, units_least=worst.units_wanted))
    except WalletError as refused:
        if not _may_pass_counted(refused):
            raise
        headroom.forget(key)
        return None


def _may_pass_counted(refused: WalletError) -> bool:
    """Tell whether a hold was refused for being too much."""
    if isinstance(refused, RateLimited):
        return refused.what is Limited.TOKENS
    return isinstance(refused, InsufficientCredits | CapReached | RequestTooLarge)


def find_worst(
    request: ModelRequest,
    prompt: Prompt,
    prompt_tokens: int,
    *,
    model: Model,
    routes: Sequence[UpstreamRoute],
) -> Worst:
    """Work out the most that a request can cost. Raises InvalidRequest if there is no telling.

    A client's own maximum is held in full or refused. Without one, as much of the default is held
    as the balance affords: the specification's default if it has one, or the model's.
    """
    named = request.client_max_tokens
    if named is not None and named > MAX_MAX_TOKENS:
        raise InvalidRequest(
            f"'{request.max_tokens_field}' must be at most {MAX_MAX_TOKENS}.",
            param=request.max_tokens_field,
            code="integer_above_max_value",
        )
    least = wanted = named
    if wanted is None or least is None:
        own = request.default_max_tokens
        wanted = model.default_max_tokens if own is None else own
        least = min(wanted, request.least_max_tokens)
    rates: Rates = model.rates
    beside = bound_prediction(prompt) + beyond_maximum(request, routes)
    unit_millicredits = rates.worst_completion_millicredits * request.generations
    return Worst(
        fixed_millicredits=prompt_tokens * rates.worst_prompt_millicredits
        + beside * unit_millicredits,
        unit_millicredits=unit_millicredits,
        units_wanted=wanted,
        units_least=least,
        fixed_tokens=prompt_tokens + beside * request.generations,
        unit_tokens=request.generations,
        beside_tokens=beside,
    )


def make_facts(
    connection: ClientConnection, key: KeyFacts, model: Model, *, endpoint: str, is_stream: bool
) -> RequestFacts:
    """Return the facts of a request that go with its hold to the ledger."""
    return RequestFacts(
        request_id=connection.request_id,
        wallet_id=key.wallet_id,
        api_key_id=key.api_key_id,
        price_id=model.rates.price_id,
        model_name=model.name,
        endpoint=endpoint,
        is_stream=is_stream,
        started_at_ms=connection.started_at_ms,
        member_id=key.member_id,
    )


async def place(
    runtime: Runtime,
    connection: ClientConnection,
    key: KeyFacts,
    facts: RequestFacts,
    worst: Worst,
    *,
    is_precounted: bool = False,
) -> Placed:
    """Place a hold. Raises as `ask_wallet` and `WalletClient.place`, and ModelNotFound."""
    if not key.may_call(facts.model_name):
        # The model may have been allowed since the key was read.
        key = (await find_standing(runtime, connection, key)).key
    return await ask_wallet(
        runtime,
        connection,
        key,
        lambda key: runtime.wallet.place(_hold(key, facts, worst, is_precounted=is_precounted)),
    )


async def quote(
    runtime: Runtime,
    connection: ClientConnection,
    key: KeyFacts,
    facts: RequestFacts,
    worst: Worst,
) -> Placed:
    """Return what `place` would hold now, by the same rules. Holds nothing. Raises as `place`."""
    return await ask_wallet(
        runtime, connection, key, lambda key: runtime.wallet.quote(_hold(key, facts, worst))
    )


def _hold(
    key: KeyFacts, facts: RequestFacts, worst: Worst, *, is_precounted: bool = False
) -> HoldRequest:
    if not key.may_call(facts.model_name):
        raise ModelNotFound(facts.model_name)
    return HoldRequest(
        facts=facts,
        wallet_version=key.wallet_version,
        fixed_millicredits=worst.fixed_millicredits,
        unit_millicredits=worst.unit_millicredits,
        units_wanted=worst.units_wanted,
        units_least=worst.units_least,
        fixed_tokens=worst.fixed_tokens,
        unit_tokens=worst.unit_tokens,
        limits=key.limits,
        is_precounted=is_precounted,
    )
