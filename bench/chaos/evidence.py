"""What is said after a run, by those who know: the books, the upstream, Stripe, the customers."""

import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psycopg
from psycopg.rows import dict_row

from bench.chaos.customers import Account
from bench.chaos.faults import Hit
from bench.chaos.sightings import Seen

Row = dict[str, Any]

RECEIPTS = """
    SELECT u.request_id, u.wallet_id, u.api_key_id, u.model_name, u.endpoint,
           u.outcome, u.source, u.is_stream, u.prompt_tokens, u.cached_tokens,
           u.completion_tokens, u.held_credits,
           u.target_credits, u.charged_credits, u.write_off_credits,
           p.prompt_rate_millicredits AS prompt_rate,
           p.cached_prompt_rate_millicredits AS cached_rate,
           p.completion_rate_millicredits AS completion_rate
    FROM billing_usagerecord u JOIN billing_modelprice p ON p.id = u.price_id
"""
ORDERS = """
    SELECT p.public_id::text AS public_id, p.status, p.credits, p.amount_cents, p.refunded_cents,
           p.clawed_back_credits - p.reinstated_credits AS taken_back_credits,
           p.stripe_session_id, p.stripe_payment_intent_id, p.buyer_id AS user_id,
           (SELECT count(*) FROM billing_refund r
             WHERE r.order_id = p.id AND r.status = 'open') AS open_refunds,
           (SELECT count(*) FROM billing_ledgerentry e
             WHERE e.kind = 'purchase' AND e.reference = p.public_id::text) AS entries,
           (SELECT coalesce(sum(e.amount_credits), 0) FROM billing_ledgerentry e
             WHERE e.kind = 'purchase' AND e.reference = p.public_id::text) AS credited
    FROM billing_order p
"""
INBOX = "SELECT kind, count(*) AS count FROM billing_inboxitem GROUP BY kind ORDER BY kind"


@dataclass
class Evidence:
    """Everything that a verdict is made from."""

    seen: list[Seen]
    # By request id.
    receipts: dict[str, Row]
    # As the upstream has them; a request that was tried again has several.
    served: list[Row]
    orders: list[Row]
    # Checkout Sessions as Stripe has them, with `refunded_cents`.
    sessions: list[Row]
    overdrawn: list[str] = field(default_factory=list)
    audit_code: int = 0
    audit_says: str = ""
    inbox: dict[str, int] = field(default_factory=dict)
    accounts: list[Account] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)


def read_books(database_url: str) -> tuple[dict[str, Row], list[Row], dict[str, int]]:
    """Return receipts by request id, orders, and the inbox by kind."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        receipts = {row["request_id"]: row for row in connection.execute(RECEIPTS)}
        orders = list(connection.execute(ORDERS))
        inbox = {row["kind"]: row["count"] for row in connection.execute(INBOX)}
    return receipts, orders, inbox


async def read_served(upstream_url: str) -> list[Row]:
    """Return the upstream's own record of every request."""
    rows: list[Row] = []
    async with aiohttp.ClientSession() as session:
        while True:
            after = rows[-1]["number"] if rows else 0
            url = f"{upstream_url}/control/requests?after={after}&limit=10000"
            async with session.get(url) as response:
                page = [json.loads(line) for line in (await response.text()).splitlines()]
            if not page:
                return rows
            rows += page


async def read_sessions(stripe_url: str, stripe_key: str) -> list[Row]:
    """Return every Checkout Session, with what was refunded of its charge."""
    keyed = {"Authorization": f"Bearer {stripe_key}"}
    async with aiohttp.ClientSession(headers=keyed) as http:
        sessions = await _list(http, f"{stripe_url}/v1/checkout/sessions")
        charges = await _list(http, f"{stripe_url}/v1/charges")
    refunded = {charge["payment_intent"]: charge["amount_refunded"] for charge in charges}
    return [
        {**session, "refunded_cents": refunded.get(session["payment_intent"], 0)}
        for session in sessions
    ]


async def _list(http: aiohttp.ClientSession, url: str) -> list[Row]:
    rows: list[Row] = []
    while True:
        after = f"&starting_after={rows[-1]['id']}" if rows else ""
        async with http.get(f"{url}?limit=100{after}") as response:
            response.raise_for_status()
            page = await response.json()
        rows += page["data"]
        if not page["has_more"]:
            return rows
