"""The most that a request could cost and what the balance affords, without sending it."""

from typing import Any

from billing.exceptions import (
    CapReached,
    InsufficientCredits,
    RateLimited,
    RequestTooLarge,
    WalletFrozen,
    WalletInDebt,
)
from billing.token_classes import CLASSES
from billing.wallet.limits import Caps
from proxy.api.error_table import to_api_error
from proxy.errors import InvalidRequest, ModelNotFound
from proxy.http.connection import ClientConnection
from proxy.serving.admission import find_routes, find_worst, make_facts, quote, take_apart
from proxy.serving.counting import bound_prompt, count_prompt
from proxy.serving.endpoints import CHAT, ENDPOINTS, RESPONSES, Endpoint
from proxy.serving.keys import KeyFacts
from proxy.serving.runtime import Runtime
from proxy.serving.standing import Standing
from proxy.upstreams.catalogue import Model

# Refusals of a hold that last as long as the balance, the limits and the account stay as they are.
REFUSALS = (
    InsufficientCredits,
    CapReached,
    RateLimited,
    RequestTooLarge,
    WalletFrozen,
    WalletInDebt,
)
BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}


async def estimate(
    runtime: Runtime, connection: ClientConnection, standing: Standing, payload: dict[str, Any]
) -> dict[str, Any]:
    """Work out a request's hold, and ask whether it would be placed now.

    Raises what would refuse the request itself, except REFUSALS, which the estimate reports.
    The payload is the request's body; its `endpoint` names the endpoint if it is not a chat.
    """
    endpoint = find_endpoint(payload)
    request = endpoint.request.parse(
        {name: value for name, value in payload.items() if name != "endpoint"}
    )
    key = standing.key
    if not key.may_call(request.model):
        raise ModelNotFound(request.model)
    model = await runtime.catalogue.get_model(request.model)
    routes = find_routes(request, endpoint, model)
    prompt = await take_apart(runtime, connection, key, request, endpoint)
    counted = await bound_prompt(runtime.work, key.wallet_id, prompt, model.reader)
    worst = find_worst(request, prompt, counted, model=model, routes=routes)
    facts = make_facts(connection, key, model, endpoint=endpoint.name, is_stream=request.stream)
    units, refusal = None, None
    try:
        units = (await quote(runtime, connection, key, facts, worst)).units
    except REFUSALS as error:
        refusal = to_api_error(error).envelope()["error"]
    return {
        "object": "estimate",
        "endpoint": endpoint.name,
        "model": model.name,
        "price_version": model.rates.version,
        "rates_millicredits": describe_rates(model),
        "prompt_tokens": await count_prompt(runtime.work, key.wallet_id, prompt, model.reader),
        "most_prompt_tokens": counted,
        "max_tokens": worst.units_wanted,
        "beside_max_tokens": worst.beside_tokens,
        "answers": request.generations,
        "most_credits": worst.most_credits,
        "available_credits": find_available(standing),
        "affordable_max_tokens": units,
        "is_affordable": refusal is None,
        "refusal": refusal,
    }


async def count_input(
    runtime: Runtime, connection: ClientConnection, key: KeyFacts, payload: dict[str, Any]
) -> dict[str, Any]:
    """Count the prompt of a response by the rules that an estimate counts by.

    Raises what would refuse the response itself.
    """
    request = RESPONSES.request.parse(payload)
    if not key.may_call(request.model):
        raise ModelNotFound(request.model)
    model = await runtime.catalogue.get_model(request.model)
    find_routes(request, RESPONSES, model)
    prompt = await take_apart(runtime, connection, key, request, RESPONSES)
    counted = await count_prompt(runtime.work, key.wallet_id, prompt, model.reader)
    return {"object": "response.input_tokens", "input_tokens": counted}


def find_endpoint(payload: dict[str, Any]) -> Endpoint:
    """Return the endpoint that a request would be sent to. Raises InvalidRequest."""
    name = payload.get("endpoint", CHAT.name)
    endpoint = BY_NAME.get(name) if isinstance(name, str) else None
    if endpoint is None:
        raise InvalidRequest(
            f"'endpoint' must be one of {', '.join(BY_NAME)}.",
            param="endpoint",
            code="invalid_value",
        )
    return endpoint


def find_available(standing: Standing) -> int:
    """Return the credits that a new hold could take, within the caps of the key and its member."""
    limits = standing.key.limits
    of_key = Caps(limits.lifetime_cap_credits, limits.monthly_cap_credits)
    left = [standing.balance.available_credits]
    for caps, figures in ((of_key, standing.figures), (limits.member_caps, standing.member)):
        if caps.lifetime_credits is not None:
            left.append(caps.lifetime_credits - figures.spent_credits - figures.held_credits)
        if caps.monthly_credits is not None:
            spent = figures.month_spent_credits + figures.month_held_credits
            left.append(caps.monthly_credits - spent)
    return max(0, min(left))


def describe_rates(model: Model) -> dict[str, int]:
    """Return a model's rates by class, in millicredits per token."""
    return {each.name: getattr(model.rates, each.rate) for each in CLASSES}
