"""What a request would cost at most and what the balance affords, without sending it."""

from typing import Any

from billing.catalogue.pricing import round_up
from proxy.exceptions import InvalidRequest, ModelNotFound
from proxy.routing.catalogue import Catalogue, Model
from proxy.serving.admission import Worst, find_worst
from proxy.serving.endpoints import CHAT, ENDPOINTS, Endpoint
from proxy.serving.standing import Standing

BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}


async def estimate(
    catalogue: Catalogue, standing: Standing, payload: dict[str, Any]
) -> dict[str, Any]:
    """Work out a request's hold. Raises what the request itself would be refused with, but for
    an empty balance, which the estimate is there to tell.

    The body is the one that would be sent, and `endpoint` says where if it is not a chat.
    """
    endpoint = find_endpoint(payload)
    request = endpoint.request.parse(
        {name: value for name, value in payload.items() if name != "endpoint"}
    )
    if not standing.key.may_call(request.model):
        raise ModelNotFound(request.model)
    model = await catalogue.get_model(request.model)
    prompt = endpoint.take_apart(request.body, request.model)
    worst = await find_worst(request, prompt, model)
    available = find_available(standing)
    return {
        "object": "estimate",
        "endpoint": endpoint.name,
        "model": model.name,
        "price_version": model.rates.version,
        "rates_millicredits": describe_rates(model),
        "prompt_tokens": await prompt.count_off_loop(),
        "most_prompt_tokens": worst.fixed_tokens,
        "max_tokens": worst.units_wanted,
        "answers": request.generations,
        "most_credits": round_up(
            worst.fixed_millicredits + worst.unit_millicredits * worst.units_wanted
        ),
        "available_credits": available,
        "affordable_max_tokens": affordable_units(worst, available),
        "is_affordable": affordable_units(worst, available) is not None,
    }


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
    """Return what a new hold could take: of the balance, within the key's caps."""
    limits, figures = standing.key.limits, standing.figures
    left = [max(0, standing.balance.available_credits)]
    if limits.lifetime_cap_credits is not None:
        spent = figures.spent_credits + figures.held_credits
        left.append(max(0, limits.lifetime_cap_credits - spent))
    if limits.monthly_cap_credits is not None:
        spent = figures.month_spent_credits + figures.month_held_credits
        left.append(max(0, limits.monthly_cap_credits - spent))
    return min(left)


def affordable_units(worst: Worst, available_credits: int) -> int | None:
    """Return the longest answer that is affordable, as `place` works it out. None if none is."""
    left = available_credits * 1_000 - worst.fixed_millicredits
    units = worst.units_wanted
    if left < 0:
        return None
    if worst.unit_millicredits:
        units = min(units, left // worst.unit_millicredits)
    return units if units >= worst.units_least else None


def describe_rates(model: Model) -> dict[str, int]:
    """Write a model's rates by class, in millicredits per token."""
    rates = model.rates
    return {
        "prompt": rates.prompt_millicredits,
        "cached_prompt": rates.cached_prompt_millicredits,
        "cache_write": rates.cache_write_millicredits,
        "prompt_audio": rates.prompt_audio_millicredits,
        "prompt_image": rates.prompt_image_millicredits,
        "completion": rates.completion_millicredits,
        "reasoning": rates.reasoning_millicredits,
        "completion_audio": rates.completion_audio_millicredits,
    }
