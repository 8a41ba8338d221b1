"""A model as `GET /v1/models` tells it: OpenAI's fields, and beside them what clients read of
OpenRouter's, so that they know a model's length, parameters and price without being told.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from billing.catalogue.pricing import MILLICREDITS, Rates
from billing.token_classes import CLASSES, TokenClass
from common.money import MILLION
from proxy.api.instants import instant
from proxy.parsing.endpoints import ENDPOINTS
from proxy.parsing.fields import SHAPES
from proxy.upstreams.catalogue import Model

CHAT = ENDPOINTS[0]
# What every request has or says of itself, and what no client chooses a model by.
_NO_PARAMETERS = {"messages", "metadata", "model", "service_tier", "store", "stream", "user"}
# OpenRouter's names of the classes that have a price by the token there.
_PRICES = {
    "prompt": "prompt",
    "cached_prompt": "input_cache_read",
    "cache_write": "input_cache_write",
    "completion": "completion",
    "reasoning": "internal_reasoning",
}


def describe_model(model: Model) -> dict[str, object]:
    """Write a model; `pricing` only where a pack is sold in dollars."""
    described: dict[str, object] = {
        "id": model.name,
        "object": "model",
        "created": model.created_at_s,
        "owned_by": model.owned_by,
        "name": model.display_name or model.name,
        "description": model.description,
        "context_length": model.reader.context_tokens,
        "supported_parameters": supported_parameters(model),
        "default_max_tokens": model.default_max_tokens,
        "default_temperature": model.default_temperature,
        "tokenproxy": {
            "credits_per_million_tokens": _credits(model.rates),
            "planned_prices": [
                {
                    "starts_at": instant(each.starts_at),
                    "credits_per_million_tokens": _credits(each.rates),
                }
                for each in model.planned
            ],
        },
    }
    if model.dollars_per_credit is not None:
        described["pricing"] = _pricing(model, model.dollars_per_credit)
    return described


def supported_parameters(model: Model) -> list[str]:
    """Return the fields of a chat that reach every route of this model; empty without chats."""
    routes = [route for route in model.routes if route.serves("/chat/completions")]
    if not routes:
        return []
    extras = frozenset.intersection(*(route.upstream.intake.extras for route in routes))
    return sorted((SHAPES[CHAT].names | extras) - _NO_PARAMETERS)


def _credits(rates: Rates) -> dict[str, int]:
    return {each.name: _rate(rates, each) * MILLION // MILLICREDITS for each in CLASSES}


def _pricing(model: Model, dollars_per_credit: Decimal) -> dict[str, str]:
    return {
        name: _plain(dollars_per_credit * _rate(model.rates, each) / MILLICREDITS)
        for each, name in _priced_classes()
    }


def _priced_classes() -> Iterable[tuple[TokenClass, str]]:
    return ((each, _PRICES[each.name]) for each in CLASSES if each.name in _PRICES)


def _rate(rates: Rates, each: TokenClass) -> int:
    rate: int = getattr(rates, each.rate)
    return rate


def _plain(dollars: Decimal) -> str:
    """Write a price as clients parse it: without exponent, at most 12 places, no idle zeros."""
    text = f"{dollars:.12f}".rstrip("0").rstrip(".")
    return text or "0"
