"""A web process that is killed between a request's hold and its first progress: what it costs."""

import asyncio
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from bench.chaos.kill_points import Order, When, give
from billing.audit.books import audit
from billing.models import UsageRecord
from billing.upkeep.adoption import adopt_journals
from proxy.database import in_database
from proxy.upstreams.providers.setup import set_up_provider
from tests.proxy.conftest import UPSTREAM_KEY, Customer, Sandbox
from tests.proxy.web_process import start_web

ROLE = "web"
# "Hello", and what the published rules add to a message and to an answer.
PROMPT_TOKENS = 8


def sell_slow(upstream: Sandbox) -> None:
    """Sell a model that takes its time before it answers."""
    set_up_provider(
        "slow",
        base_url=upstream.base_url,
        secret=UPSTREAM_KEY,
        models={"slow": "fault-slow-first-byte-30"},
        has_default_price=True,
    )


async def die_at(
    point: str, when: When, orders: Path, customer: Customer, *, model: str = "gpt-4"
) -> UsageRecord:
    """Have a web process die at a step of one request; return the request's receipt."""
    order = Order(order_id="first", point=point, when=when, call=1)
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
    async with start_web(
        role=ROLE, CHAOS_ORDERS=str(orders), JOURNAL_DIR=str(settings.JOURNAL_DIR)
    ) as web:
        give(orders, ROLE, order)
        async with httpx.AsyncClient(base_url=web.base_url, timeout=30) as client:
            with pytest.raises(httpx.HTTPError):
                await client.post("/v1/chat/completions", headers=customer.headers, json=body)
        async with asyncio.timeout(20):
            await web.process.wait()
    await in_database(adopt_journals)
    record = await customer.record()
    assert record is not None
    assert await in_database(lambda: audit(at_rest=True)) == []
    return record


async def test_it_costs_nothing_before_the_upstream_is_asked(
    gpt_4: None, alice: Customer, journal_dir: Path, tmp_path: Path
) -> None:
    record = await die_at("billing.wallet.journal:Journal.start", "after", tmp_path, alice)

    assert (record.outcome, record.charged_credits) == ("abandoned", 0)
    assert (await alice.balance()).available_credits == 10_000


async def test_it_costs_nothing_while_the_upstream_has_only_just_been_asked(
    gpt_4: None, alice: Customer, journal_dir: Path, tmp_path: Path
) -> None:
    record = await die_at("proxy.upstreams.client:UpstreamAnswer.read", "before", tmp_path, alice)

    assert (record.outcome, record.charged_credits) == ("abandoned", 0)


async def test_it_costs_the_prompt_once_the_upstream_has_had_it_for_a_second(
    gpt_4: None, upstream: Sandbox, alice: Customer, journal_dir: Path, tmp_path: Path
) -> None:
    await in_database(lambda: sell_slow(upstream))

    record = await die_at(
        "billing.wallet.journal:Journal.ask", "after", tmp_path, alice, model="slow"
    )

    assert (record.outcome, record.source) == ("abandoned", "estimated")
    assert (record.prompt_tokens, record.completion_tokens) == (PROMPT_TOKENS, 0)
    assert record.charged_credits == PROMPT_TOKENS
    assert (await alice.balance()).available_credits == 10_000 - PROMPT_TOKENS
