"""Whole answers: what comes back, and what is charged for each ending."""

import asyncio
from typing import Any

import pytest

from billing.catalogue.model_prices import set_price
from billing.models import PublicModel
from billing.wallet.commands.figures import Balance
from proxy.database import in_database
from tests.proxy.conftest import Api, Customer, Sandbox, assert_envelope


async def test_it_answers_and_charges_what_the_upstream_reported(api: Api, alice: Customer) -> None:
    response = await api.chat(alice, max_tokens=20)

    answer = response.json()
    record = await alice.record()
    assert response.status_code == 200
    assert record is not None
    assert (record.outcome, record.source) == ("completed", "reported")
    assert record.prompt_tokens == answer["usage"]["prompt_tokens"]
    assert record.completion_tokens == answer["usage"]["completion_tokens"]
    assert record.charged_credits == answer["usage"]["total_tokens"]
    assert response.headers["x-tokenproxy-credits-charged"] == str(record.charged_credits)
    assert (await alice.balance()).available_credits == 10_000 - record.charged_credits


async def test_it_charges_nothing_and_books_nothing_if_no_upstream_takes_the_request(
    api: Api, alice: Customer
) -> None:
    await api.sell("fault-500")

    response = await api.chat(alice, "fault-500")

    assert response.status_code == 502
    assert await alice.record() is None
    assert await alice.balance() == Balance(10_000, 0, 10_000, 0)


@pytest.mark.parametrize(
    ("model", "status"),
    [("fault-cut", 502), ("fault-not-json", 502), ("fault-malformed-event", 502)],
)
async def test_it_charges_nothing_for_an_answer_that_is_cut_or_is_none(
    api: Api, alice: Customer, model: str, status: int
) -> None:
    await api.sell(model)

    response = await api.chat(alice, model)

    record = await alice.record()
    assert response.status_code == status
    assert_envelope(response)
    assert record is not None
    assert (record.outcome, record.charged_credits) == ("broken", 0)
    assert (await alice.balance()).available_credits == 10_000


async def test_it_counts_for_itself_if_the_upstream_reports_no_usage(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    await api.sell("fault-no-usage")

    response = await api.chat(alice, "fault-no-usage", max_tokens=30)

    record = await alice.record()
    served = await upstream.served(response.headers["x-request-id"])
    assert record is not None
    assert (record.outcome, record.source) == ("completed", "estimated")
    assert record.completion_tokens == served["completion_tokens_delivered"] > 0
    assert record.prompt_tokens == served["prompt_tokens"] > 0
    assert record.charged_credits == record.prompt_tokens + record.completion_tokens


async def test_it_leaves_a_reported_zero_at_zero(api: Api, alice: Customer) -> None:
    await api.sell("fault-zero-usage")

    response = await api.chat(alice, "fault-zero-usage")

    record = await alice.record()
    assert response.headers["x-tokenproxy-credits-charged"] == "0"
    assert record is not None
    assert (record.source, record.charged_credits) == ("reported", 0)


@pytest.mark.parametrize(
    "model",
    [
        "fault-negative-usage",
        "fault-string-usage",
        "fault-cached-over-prompt",
        "fault-usage-over-max",
    ],
)
async def test_it_parks_impossible_usage_and_charges_its_own_count_within_the_hold(
    api: Api, alice: Customer, upstream: Sandbox, model: str
) -> None:
    await api.sell(model)

    response = await api.chat(alice, model, max_tokens=30)

    record = await alice.record()
    served = await upstream.served(response.headers["x-request-id"])
    assert response.status_code == 200
    assert record is not None
    assert record.source == "parked"
    assert record.completion_tokens == served["completion_tokens_delivered"]
    assert record.charged_credits == record.prompt_tokens + record.completion_tokens
    assert record.charged_credits <= record.held_credits


async def test_it_charges_cached_prompt_tokens_at_their_own_rate(api: Api, alice: Customer) -> None:
    await in_database(
        set_price,
        await in_database(lambda: PublicModel.objects.get(name="gpt-4")),
        prompt_rate_millicredits=3_000,
        cached_prompt_rate_millicredits=1_000,
        completion_rate_millicredits=2_000,
    )
    await api.runtime.catalogue.refresh()

    response = await api.chat(
        alice, messages=[{"role": "user", "content": "[[cached=5]] [[tokens=10]] Hello!"}]
    )

    prompt_tokens = response.json()["usage"]["prompt_tokens"]
    expected = (prompt_tokens - 5) * 3 + 5 * 1 + 10 * 2
    assert response.headers["x-tokenproxy-credits-charged"] == str(expected)


async def test_it_answers_504_and_charges_nothing_if_the_upstream_does_not_answer_in_time(
    api: Api, alice: Customer
) -> None:
    await api.sell("fault-slow-first-byte-30")
    await api.limit_providers(total_timeout_s=1)

    response = await api.chat(alice, "fault-slow-first-byte-30")

    record = await alice.record()
    assert response.status_code == 504
    assert_envelope(response)
    # The upstream may have run it, and may bill it: the receipt tells, and costs nothing.
    assert record is not None
    assert (record.outcome, record.charged_credits) == ("broken", 0)
    assert (await alice.balance()).held_credits == 0


async def test_it_waits_for_an_answer_in_one_piece_until_all_of_it_is_made(
    api: Api, alice: Customer
) -> None:
    await api.limit_providers(first_byte_timeout_s=1, idle_timeout_s=2, total_timeout_s=20)

    # It takes 3 seconds, and comes at once.
    response = await api.chat(
        alice, messages=[{"role": "user", "content": "[[tokens=60]] [[tps=20]]"}], max_tokens=60
    )

    assert response.status_code == 200
    assert response.json()["usage"]["completion_tokens"] == 60


async def test_it_breaks_off_an_answer_that_takes_too_long_and_charges_nothing(
    api: Api, alice: Customer
) -> None:
    await api.sell("fault-stall")
    await api.limit_providers(total_timeout_s=1)

    response = await api.chat(alice, "fault-stall")

    record = await alice.record()
    assert response.status_code == 504
    assert record is not None
    assert (record.outcome, record.charged_credits) == ("broken", 0)


async def leave_while_answering(api: Api, customer: Customer, *, say: str) -> None:
    """Hang up once the upstream works on the answer."""
    messages = [{"role": "user", "content": say}]
    waiting = asyncio.create_task(api.chat(customer, messages=messages))
    async with asyncio.timeout(10):
        await api.upstream.await_open()
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_it_still_takes_an_answer_whose_client_left_and_charges_it_as_reported(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    await leave_while_answering(api, alice, say="[[tokens=10]] [[tps=20]]")

    await api.idle()

    record = await alice.record()
    assert record is not None
    assert (record.outcome, record.source, record.completion_tokens) == (
        "completed",
        "reported",
        10,
    )
    assert (await upstream.served())["cut_by_client"] == 0


async def test_it_gives_an_answer_up_when_its_client_has_been_gone_for_the_grace(
    api: Api, alice: Customer, upstream: Sandbox, settings: Any
) -> None:
    settings.CLIENT_LEFT_GRACE_S = 1
    await leave_while_answering(api, alice, say="[[tokens=600]] [[tps=20]]")

    await api.idle()

    record = await alice.record()
    served = await upstream.served()
    assert record is not None
    assert (record.outcome, record.source) == ("client_left", "estimated")
    assert (record.completion_tokens, record.prompt_tokens) == (0, served["prompt_tokens"])
    assert record.charged_credits == record.prompt_tokens
    assert served["cut_by_client"] == 1
    assert (await alice.balance()).held_credits == 0
