"""The control pages under /control/: what was served, and which faults come next.

They need no key: the process listens on the loopback address only.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from html import escape
from typing import Any

import orjson

from sandbox.upstream.errors import ApiError
from sandbox.upstream.exchange import Exchange
from sandbox.upstream.faults import FAULTS
from sandbox.upstream.organisation import Used
from sandbox.upstream.provider import Provider
from sandbox.upstream.validation import check_integer, check_number, check_type, missing

Handler = Callable[[Exchange, Provider], Awaitable[None]]

NDJSON = b"application/x-ndjson"
HTML = b"text/html; charset=utf-8"
DEFAULT_PAGE = 1_000
LARGEST_PAGE = 10_000


async def show_tally(exchange: Exchange, provider: Provider) -> None:
    """GET /control/tally: sums; with `?request_id=` those of one request and its records."""
    request_id = exchange.query().get("request_id")
    tally = provider.tally
    await exchange.respond_json(
        tally.summary() if request_id is None else tally.summary_of(request_id)
    )


async def list_requests(exchange: Exchange, provider: Provider) -> None:
    """GET /control/requests: a JSON line per request, oldest first, `?after=` a number."""
    query = exchange.query()
    after = _number(query, "after", default=0, maximum=2**62)
    limit = _number(query, "limit", default=DEFAULT_PAGE, maximum=LARGEST_PAGE)
    lines = [orjson.dumps(row) + b"\n" for row in provider.tally.page(after, limit)]
    await exchange.respond(200, b"".join(lines), NDJSON)


async def reset(exchange: Exchange, provider: Provider) -> None:
    """POST /control/reset: forget what was served and every fault rule."""
    provider.reset()
    await exchange.respond_json({"reset": True})


async def show_faults(exchange: Exchange, provider: Provider) -> None:
    """GET /control/faults: the rules in force."""
    await exchange.respond_json({"rules": provider.fault_rules.describe()})


async def set_faults(exchange: Exchange, provider: Provider) -> None:
    """POST /control/faults: a rule or an array of rules in place of all others."""
    try:
        payload = orjson.loads(await exchange.read())
    except orjson.JSONDecodeError:
        raise ApiError(400, "The body is not JSON.") from None
    provider.fault_rules.replace(payload)
    await show_faults(exchange, provider)


async def show_keys(exchange: Exchange, provider: Provider) -> None:
    """GET /control/keys: which keys are switched off."""
    keys = provider.api_keys
    rows = [
        {"number": i, "enabled": key not in provider.disabled_keys} for i, key in enumerate(keys)
    ]
    await exchange.respond_json({"keys": rows})


async def set_keys(exchange: Exchange, provider: Provider) -> None:
    """POST /control/keys: `{"disabled": [0]}` switches keys off by their number, all others on."""
    payload = await exchange.read_json()
    numbers: list[Any] | None = check_type(payload, "disabled", list)
    if numbers is None:
        raise missing("disabled")
    last = len(provider.api_keys) - 1
    for number in numbers:
        check_integer({"disabled": number}, "disabled", 0, last)
    provider.disabled_keys = {provider.api_keys[number] for number in numbers if number is not None}
    await show_keys(exchange, provider)


async def set_account(exchange: Exchange, provider: Provider) -> None:
    """POST /control/account: what was paid in, costs of no item, and usage of other days.

    `{"total_credits": 20, "used": [{"day": "2026-03-02", "model": "gpt-4o", "input_tokens": 20}]}`
    """
    payload = await exchange.read_json()
    total = check_number(payload, "total_credits", 0, 1e9)
    if total is not None:
        provider.bills.total_credits = total
    other = check_number(payload, "other_costs", 0, 1e9)
    if other is not None:
        provider.bills.other_costs = other
    for row in check_type(payload, "used", list) or []:
        kind = check_type(row, "kind", str) or "completions"
        try:
            day = date.fromisoformat(row["day"])
        except (KeyError, TypeError, ValueError):
            raise missing("day") from None
        used = provider.bills.find(kind, day, check_type(row, "model", str) or "")
        for name in Used.__dataclass_fields__:
            count = check_integer(row, name, 0, 2**53) or 0
            setattr(used, name, getattr(used, name) + count)
    await exchange.respond_json({"total_credits": provider.bills.total_credits})


async def show_overview(exchange: Exchange, provider: Provider) -> None:
    """GET /control/: the same for people."""
    await exchange.respond(200, _overview(provider).encode(), HTML)


def _number(query: dict[str, str], name: str, *, default: int, maximum: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= maximum):
        raise ApiError(400, f"'{name}' must be an integer from 0 to {maximum}.", param=name)
    return int(text)


STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
tr + tr { border-top: 1px solid #8884; }
"""


def _overview(provider: Provider) -> str:
    summary = provider.tally.summary()
    columns = list(next(iter(summary["models"].values()), {}))
    totals = [[name.replace("_", " "), value] for name, value in summary["totals"].items()]
    models = [[name, *row.values()] for name, row in summary["models"].items()]
    rules = [list(rule.values()) for rule in provider.fault_rules.describe()]
    faults = [
        [f"fault-{name}" + ("" if kind.default is None else "-N"), kind.what]
        for name, kind in FAULTS.items()
    ]
    return "".join(
        (
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>Upstream emulator</title><style>{STYLE}</style>",
            "<h1>Upstream emulator</h1>",
            '<p><a href="/control/tally">tally</a> · <a href="/control/requests">requests</a> · ',
            '<a href="/control/faults">fault rules</a></p>',
            "<h2>Served</h2>" + _table([], totals),
            "<h2>By model</h2>" + _table(["model", *columns], models),
            "<h2>Fault rules</h2>"
            + _table(["fault", "model", "key", "next", "probability", "seed", "applied"], rules),
            "<h2>Faults by name of the model</h2>" + _table([], faults),
        )
    )


def _table(head: list[str], rows: list[list[Any]]) -> str:
    if not rows:
        return "<p>None.</p>"
    titles = "".join(f"<th>{escape(title.replace('_', ' '))}</th>" for title in head)
    lines = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{titles}</tr>{lines}</table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{'' if value is None else escape(str(value))}</td>"


HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "/control/"): show_overview,
    ("GET", "/control/tally"): show_tally,
    ("GET", "/control/requests"): list_requests,
    ("POST", "/control/reset"): reset,
    ("GET", "/control/faults"): show_faults,
    ("POST", "/control/faults"): set_faults,
    ("GET", "/control/keys"): show_keys,
    ("POST", "/control/keys"): set_keys,
    ("POST", "/control/account"): set_account,
}
