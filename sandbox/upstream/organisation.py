"""What an administrator of the account may ask: usage and costs by day, as OpenAI tells them, and
what is left, as OpenRouter and DeepSeek do.

`GET /v1/organization/usage/{completions,embeddings}`, `/v1/organization/costs`, `/v1/credits` take
the admin key; an ordinary key is refused with 403. `GET /user/balance` takes an ordinary one.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs

from sandbox.upstream.errors import ApiError
from sandbox.upstream.exchange import Exchange
from sandbox.upstream.tally import Record

DAY_S = 86_400
USAGE = "/v1/organization/usage/"
COSTS = "/v1/organization/costs"
CREDITS = "/v1/credits"
BALANCE = "/user/balance"
DEFAULT_LIMIT = 7
# Clients choose the names of models.
MOST_ROWS = 10_000
MOST_DAYS = {"usage": 31, "costs": 180}
# Dollars for a million tokens, of every model: prompt, cached prompt, completion.
PRICES = {"input": 0.15, "cached input": 0.075, "output": 0.60}
# Usage is told by snapshot, whatever name was asked for.
SNAPSHOTS = {
    "gpt-4": "gpt-4-0613",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
    "gpt-5": "gpt-5-2025-08-07",
}
# By the paths that are billed.
KINDS = {
    "/v1/chat/completions": "completions",
    "/v1/completions": "completions",
    "/v1/responses": "completions",
    "/v1/embeddings": "embeddings",
}


@dataclass(slots=True)
class Used:
    """What was used of a model on a day."""

    input_tokens: int = 0
    input_cached_tokens: int = 0
    output_tokens: int = 0
    num_model_requests: int = 0

    def costs(self) -> dict[str, float]:
        """Return what each kind of token costs, in dollars."""
        counts = {
            "input": self.input_tokens - self.input_cached_tokens,
            "cached input": self.input_cached_tokens,
            "output": self.output_tokens,
        }
        return {kind: count * PRICES[kind] / 1e6 for kind, count in counts.items() if count}


@dataclass(slots=True)
class Bills:
    """Everything that was used, by kind, day and model, and what was paid in."""

    used: dict[tuple[str, date, str], Used] = field(default_factory=dict)
    total_credits: float = 100.0
    # Dollars for each day on which something was used, which belong to no item.
    other_costs: float = 0.0

    def add(self, record: Record) -> None:
        """Bill a request that has ended; one that was refused costs nothing."""
        kind = KINDS.get(record.path)
        if kind is None or not record.is_accepted:
            return
        day = datetime.fromisoformat(record.received_at).date()
        used = self.find(kind, day, record.model)
        used.input_tokens += record.prompt_tokens
        used.input_cached_tokens += _cached(record)
        used.output_tokens += record.completion_tokens_generated
        used.num_model_requests += 1

    def find(self, kind: str, day: date, model: str) -> Used:
        name = SNAPSHOTS.get(model, model)
        if len(self.used) >= MOST_ROWS:
            name = "(other models)"
        return self.used.setdefault((kind, day, name), Used())

    def of_day(self, day: date, kind: str | None = None) -> dict[str, Used]:
        return {
            model: used
            for (each, at, model), used in self.used.items()
            if at == day and kind in (None, each)
        }

    def total_usage(self) -> float:
        return sum(sum(used.costs().values()) for used in self.used.values())


def _cached(record: Record) -> int:
    usage = record.usage_reported or {}
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    count = details.get("cached_tokens") if isinstance(details, dict) else 0
    return count if isinstance(count, int) else 0


async def answer(exchange: Exchange, bills: Bills) -> None:
    """Answer one of these addresses. Raises ApiError."""
    path = exchange.path
    if path == CREDITS:
        data = {"total_credits": bills.total_credits, "total_usage": bills.total_usage()}
        await exchange.respond_json({"data": data})
    elif path == BALANCE:
        await exchange.respond_json(_deepseek(bills.total_credits - bills.total_usage()))
    elif path == COSTS:
        await exchange.respond_json(_page(exchange, "costs", bills, _costs_of_day))
    else:
        kind = path.removeprefix(USAGE)
        if kind not in KINDS.values():
            raise ApiError(404, f"Invalid URL (GET {path})", code="unknown_url")
        await exchange.respond_json(_page(exchange, "usage", bills, _usage_of_day(kind)))


def _deepseek(left: float) -> dict[str, Any]:
    text = f"{left:.2f}"
    purse = {
        "currency": "USD",
        "total_balance": text,
        "granted_balance": "0.00",
        "topped_up_balance": text,
    }
    return {"is_available": left > 0, "balance_infos": [purse]}


Results = Callable[[Bills, date, bool], list[dict[str, Any]]]


def _usage_of_day(kind: str) -> Results:
    def results(bills: Bills, day: date, is_grouped: bool) -> list[dict[str, Any]]:
        by_model = bills.of_day(day, kind)
        if not is_grouped and by_model:
            total = Used()
            for each in by_model.values():
                for name in Used.__dataclass_fields__:
                    setattr(total, name, getattr(total, name) + getattr(each, name))
            by_model = {"": total}
        return [_usage_row(kind, model or None, used) for model, used in by_model.items()]

    return results


def _usage_row(kind: str, model: str | None, used: Used) -> dict[str, Any]:
    row: dict[str, Any] = {
        "object": f"organization.usage.{kind}.result",
        "input_tokens": used.input_tokens,
        "num_model_requests": used.num_model_requests,
        "project_id": None,
        "user_id": None,
        "api_key_id": None,
        "model": model,
    }
    if kind == "completions":
        row |= {
            "output_tokens": used.output_tokens,
            "input_cached_tokens": used.input_cached_tokens,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "batch": None,
            "service_tier": None,
        }
    return row


def _costs_of_day(bills: Bills, day: date, is_grouped: bool) -> list[dict[str, Any]]:
    items = {
        f"{model}, {kind}": cost
        for model, used in bills.of_day(day).items()
        for kind, cost in used.costs().items()
    }
    if items and bills.other_costs:
        items[""] = bills.other_costs
    shown = items if is_grouped else {"": sum(items.values())} if items else {}
    return [
        {
            "object": "organization.costs.result",
            "amount": {"value": cost, "currency": "usd"},
            "line_item": name or None,
            "project_id": None,
            "organization_id": "org-SandboxUpstreamCanary",
        }
        for name, cost in shown.items()
    ]


def _page(exchange: Exchange, what: str, bills: Bills, results: Results) -> dict[str, Any]:
    """Return one page of days. Raises ApiError 400."""
    query = {
        name.removesuffix("[]"): values
        for name, values in parse_qs(exchange.query_string.decode("latin-1")).items()
    }
    start = _number(query, "start_time", None)
    end = _number(query, "end_time", int(datetime.now(UTC).timestamp()))
    limit = _number(query, "limit", DEFAULT_LIMIT)
    if query.get("bucket_width", ["1d"]) != ["1d"]:
        raise ApiError(400, "This sandbox has buckets of 1d only.", param="bucket_width")
    if not 1 <= limit <= MOST_DAYS[what]:
        raise ApiError(400, f"'limit' must be at most {MOST_DAYS[what]}.", param="limit")
    if "page" in query:
        start = _read_cursor(query["page"][0])
    is_grouped = query.get("group_by") in (["model"], ["line_item"])
    first = start - start % DAY_S
    starts = range(first, max(end, first), DAY_S)
    shown, rest = starts[:limit], starts[limit:]
    return {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": at,
                "end_time": at + DAY_S,
                "results": results(bills, datetime.fromtimestamp(at, UTC).date(), is_grouped),
            }
            for at in shown
        ],
        "has_more": bool(rest),
        "next_page": _cursor(rest[0]) if rest else None,
    }


def _number(query: dict[str, list[str]], name: str, default: int | None) -> int:
    text = query.get(name, [""])[0]
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise ApiError(400, f"'{name}' must be a number.", param=name)
    return int(text)


def _cursor(start: int) -> str:
    return "page_" + base64.urlsafe_b64encode(str(start).encode()).decode()


def _read_cursor(text: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(text.removeprefix("page_")))
    except ValueError:
        raise ApiError(400, "Invalid 'page'.", param="page") from None
