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
EMBEDDINGS = "embeddings"
# What every request has or says of itself, and what no client chooses a model by.
_NO_PARAMETERS = {"messages", "metadata", "model", "service_tier", "store", "stream", "user"}
# What is of no use to a model that can't call tools, if it is known what it can do.
_OF_TOOLS = {"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"}
# OpenRouter's names of what a model reads beside text, by the ability that says so.
_INPUTS = {"images": "image", "files": "file", "audio": "audio"}
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
        "architecture": _architecture(model),
        "top_provider": {"context_length": model.reader.context_tokens},
        "supported_parameters": supported_parameters(model),
        "default_max_tokens": model.default_max_tokens,
        "default_temperature": model.default_temperature,
        "tokenproxy": {
            "abilities": _abilities(model),
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
    found = (SHAPES[CHAT].names | extras) - _NO_PARAMETERS
    if model.abilities and "tools" not in model.abilities:
        found -= _OF_TOOLS
    if "json" in model.abilities:
        found |= {"structured_outputs"}
    return sorted(found)


def _architecture(model: Model) -> dict[str, object]:
    """Tell what it reads and writes. Of what it can do nothing may be known, but text."""
    inputs = ["text", *(name for ability, name in _INPUTS.items() if ability in model.abilities)]
    writes = any(not route.endpoints or route.endpoints - {EMBEDDINGS} for route in model.routes)
    outputs = ["text" if writes else "embeddings"]
    return {
        "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
        "input_modalities": inputs,
        "output_modalities": outputs,
    }


def _abilities(model: Model) -> list[str]:
    """Tell by what the models page finds it, as its filter is written in the address."""
    return sorted(model.abilities | ({"reasoning"} if model.is_reasoning else set()))


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
