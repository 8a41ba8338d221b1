"""Requests that are sent again: one call upstream, one charge, one answer."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from billing.keys.api_keys import revoke_api_key
from billing.ledger.wallets import wallet_of
from billing.models import UsageRecord
from billing.upkeep.drain import drain
from billing.upkeep.recovery import recover
from billing.wallet.sync_client import SyncWalletClient, get_sync_client
from devstack.services import Valkey
from proxy.database import in_database
from proxy.serving.replay import recordings
from proxy.serving.replay.recordings import ENTRY_BYTES, Recorded, State, Ticket
from proxy.serving.runtime import Runtime
from tests.proxy.conftest import (
    HELLO,
    PATHS,
    SHORT,
    Api,
    Customer,
    Sandbox,
    assert_envelope,
    until,
)

# The second of two attempts of the official SDKs.
RETRY = {"x-stainless-retry-count": "1"}
SLOWLY = [{"role": "user", "content": "[[tokens=12]] [[tps=20]]"}]
SLOWLY_ASKED = {"messages": SLOWLY}


def once(name: str = "order-1") -> dict[str, str]:
    return {"Idempotency-Key": name}


async def post(
    api: Api,
    customer: Customer,
    headers: dict[str, str],
    *,
    endpoint: str = "chat.completions",
    gives_up_after_s: float = 30,
    **body: Any,
) -> httpx.Response:
    return await api.client.post(
        PATHS[endpoint],
        headers=customer.headers | headers,
        json={"model": "gpt-4"} | SHORT[endpoint] | body,
        timeout=gives_up_after_s,
    )


async def leave(api: Api, customer: Customer, body: dict[str, Any] = SLOWLY_ASKED) -> None:
    """Ask for an answer that takes 0.6 s, and give up after 0.2 s, as an SDK's time-out does.

    An SDK waits at least 0.4 s before it sends again; here until the hang-up has been noticed.
    """
    with pytest.raises(httpx.ReadTimeout):
        await post(api, customer, {}, gives_up_after_s=0.2, **body)
    await until(lambda: any(get_sync_client().redis.scan_iter("*:answer:*")))


async def charged(customer: Customer) -> list[int]:
    """Return what each booked request was charged."""
    balance = await customer.balance()
    assert balance.held_credits == 0
    records = await in_database(lambda: list(records_of(customer)))
    assert sum(records) == 10_000 - balance.available_credits
    return records


def records_of(customer: Customer) -> list[int]:
    drain()
    records = UsageRecord.objects.filter(wallet__team__person=customer.user)
    return list(records.values_list("charged_credits", flat=True))


@pytest.mark.parametrize("endpoint", PATHS)
async def test_it_gives_the_same_answer_to_the_same_idempotency_key_for_one_charge(
    api: Api, alice: Customer, upstream: Sandbox, endpoint: str
) -> None:
    first = await post(api, alice, once(), endpoint=endpoint)
    second = await post(api, alice, once(), endpoint=endpoint)

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert second.headers["content-type"] == "application/json"
    assert second.headers["x-tokenproxy-replay-of"] == first.headers["x-request-id"]
    assert "x-ratelimit-remaining-requests" not in second.headers
    assert (
        second.headers["x-tokenproxy-credits-charged"]
        == first.headers["x-tokenproxy-credits-charged"]
    )
    assert len(await charged(alice)) == (await upstream.served())["received"] == 1


async def test_a_revoked_key_gets_no_kept_answer(api: Api, alice: Customer) -> None:
    first = await post(api, alice, once())
    await in_database(revoke_api_key, alice.key)

    second = await post(api, alice, once())

    assert (first.status_code, second.status_code) == (200, 401)


async def test_a_retry_count_of_no_sense_is_none(api: Api, alice: Customer) -> None:
    response = await post(api, alice, {"x-stainless-retry-count": "9" * 5_000})

    assert response.status_code == 200


@pytest.mark.parametrize("endpoint", ["chat.completions", "responses"])
async def test_it_replays_a_stream_byte_for_byte(
    api: Api, alice: Customer, upstream: Sandbox, endpoint: str
) -> None:
    first = await post(api, alice, once(), endpoint=endpoint, stream=True)
    second = await post(api, alice, once(), endpoint=endpoint, stream=True)

    assert second.content == first.content
    assert second.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert len(await charged(alice)) == (await upstream.served())["received"] == 1


async def test_it_refuses_an_idempotency_key_for_another_body(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    await post(api, alice, once())

    other_body = await post(api, alice, once(), temperature=1)
    other_endpoint = await post(api, alice, once(), endpoint="responses")

    assert (other_body.status_code, other_endpoint.status_code) == (409, 409)
    assert_envelope(other_body, code="idempotency_key_reused")
    assert other_body.headers["x-should-retry"] == "false"
    assert (await upstream.served())["received"] == 1


async def test_it_keeps_the_keys_of_two_customers_apart(
    api: Api, alice: Customer, make_customer: Any, upstream: Sandbox
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=10_000)
    await post(api, alice, once())

    response = await post(api, bob, once())

    assert "x-tokenproxy-replay-of" not in response.headers
    assert (await upstream.served())["received"] == 2
    assert len(await charged(bob)) == 1


async def test_it_makes_the_second_wait_for_the_first_that_still_runs(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    answers = await asyncio.gather(*(post(api, alice, once(), messages=SLOWLY) for _ in range(5)))

    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum("x-tokenproxy-replay-of" in answer.headers for answer in answers) == 4
    assert len(await charged(alice)) == (await upstream.served())["received"] == 1


async def test_it_does_not_keep_a_refusal(api: Api, alice: Customer, upstream: Sandbox) -> None:
    await api.sell("fault-flaky-1")

    first = await post(api, alice, once(), model="fault-flaky-1")
    await api.idle()
    second = await post(api, alice, once(), model="fault-flaky-1")

    assert (first.status_code, second.status_code) == (502, 200)
    assert len(await charged(alice)) == 1


async def test_it_keeps_a_stream_whose_client_left_if_it_was_asked_to(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    body = {"model": "gpt-4", "messages": SLOWLY, "stream": True}
    async with api.client.stream(
        "POST", PATHS["chat.completions"], headers=alice.headers | once(), json=body
    ) as response:
        async for _ in response.aiter_raw():
            break

    again = await post(api, alice, once(), messages=SLOWLY, stream=True, max_tokens=None)
    same = await api.client.post(
        PATHS["chat.completions"], headers=alice.headers | once(), json=body
    )

    # The body must be the same to the byte, or nearly: null is another body than nothing.
    assert again.status_code == 409
    assert same.content.endswith(b"data: [DONE]\n\n")
    assert len(await charged(alice)) == (await upstream.served())["received"] == 1


async def test_it_says_so_if_an_answer_was_too_large_to_keep(
    api: Api, alice: Customer, upstream: Sandbox, settings: Any
) -> None:
    settings.IDEMPOTENCY_MAX_BYTES = 100
    first = await post(api, alice, once())

    second = await post(api, alice, once())

    message = assert_envelope(second, code="idempotent_answer_not_kept")
    assert (first.status_code, second.status_code) == (200, 409)
    assert first.headers["x-request-id"] in message
    assert second.headers["x-should-retry"] == "false"
    assert len(await charged(alice)) == (await upstream.served())["received"] == 1


async def test_it_keeps_no_more_of_a_wallets_answers_than_its_share(
    api: Api, alice: Customer, settings: Any, redis_wallets: SyncWalletClient
) -> None:
    keys = ["a", "b", "c", "d"]
    await post(api, alice, once("a"))
    [kept] = list(redis_wallets.redis.scan_iter("*:answer:*"))
    settings.IDEMPOTENCY_WALLET_BYTES = int(2.5 * (redis_wallets.redis.strlen(kept) + ENTRY_BYTES))
    for name in keys[1:]:
        await post(api, alice, once(name))

    statuses = [(await post(api, alice, once(name))).status_code for name in keys]

    assert statuses == [200, 200, 409, 409]


async def test_it_keeps_no_more_of_all_answers_than_there_is_room_for(
    api: Api,
    alice: Customer,
    make_customer: Callable[..., Customer],
    settings: Any,
    redis_wallets: SyncWalletClient,
) -> None:
    await post(api, alice, once("a"))
    [kept] = list(redis_wallets.redis.scan_iter("*:answer:*"))
    size = redis_wallets.redis.strlen(kept) + ENTRY_BYTES
    # A sixteenth of it is for the shard of a wallet.
    settings.IDEMPOTENCY_TOTAL_BYTES = int(1.5 * size) * 16
    # Of another shard.
    bob = await in_database(make_customer, "bob@example.com", credits=10_000)

    second = await post(api, alice, once("b"))
    of_bob = await post(api, bob, once("a"))

    assert {second.status_code, of_bob.status_code} == {200}
    assert [(await post(api, alice, once(name))).status_code for name in "ab"] == [200, 409]
    assert (await post(api, bob, once("a"))).status_code == 200


async def test_an_answer_whose_time_is_over_makes_room(
    api: Api, alice: Customer, settings: Any, redis_wallets: SyncWalletClient
) -> None:
    settings.IDEMPOTENCY_KEEP_S = 1
    redis = redis_wallets.redis
    await post(api, alice, once("a"))
    [kept] = list(redis.scan_iter("*:answer:*"))
    settings.IDEMPOTENCY_WALLET_BYTES = int(1.5 * (redis.strlen(kept) + ENTRY_BYTES))
    await until(lambda: not redis.exists(kept))
    settings.IDEMPOTENCY_KEEP_S = 600

    await post(api, alice, once("b"))

    [sizes] = list(redis.scan_iter("*:answers:bytes"))
    [kept] = list(redis.scan_iter("*:answer:*"))
    assert (await post(api, alice, once("b"))).status_code == 200
    assert set(map(int, redis.hvals(sizes))) == {redis.strlen(kept) + ENTRY_BYTES}


async def test_it_forgets_an_answer_when_its_time_is_over(
    api: Api, alice: Customer, upstream: Sandbox, settings: Any, redis_wallets: SyncWalletClient
) -> None:
    settings.IDEMPOTENCY_KEEP_S = 600
    await post(api, alice, once())

    [kept] = list(redis_wallets.redis.scan_iter("*:answer:*"))
    left_ms = redis_wallets.redis.pttl(kept)
    redis_wallets.redis.delete(kept)
    await post(api, alice, once())

    assert 590_000 < left_ms <= 600_000
    assert (await upstream.served())["received"] == 2


async def test_it_keeps_nothing_that_can_be_read(
    api: Api, alice: Customer, redis_wallets: SyncWalletClient
) -> None:
    secret = [{"role": "user", "content": "the canary sings at noon"}]
    answer = await post(api, alice, once("order-canary"), messages=secret)

    [kept] = list(redis_wallets.redis.scan_iter("*:answer:*"))
    stored = redis_wallets.redis.get(kept)
    text = answer.json()["choices"][0]["message"]["content"]
    assert b"canary" not in kept + stored
    assert text.split()[0].encode() not in stored


async def test_it_stores_nothing_unless_asked(
    api: Api, alice: Customer, redis_wallets: SyncWalletClient
) -> None:
    await post(api, alice, {})
    await post(api, alice, RETRY)

    assert list(redis_wallets.redis.scan_iter("*:answer:*")) == []


async def test_a_retry_joins_the_call_that_its_first_attempt_left_behind(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    await leave(api, alice)

    joined = await asyncio.gather(*(post(api, alice, RETRY, messages=SLOWLY) for _ in range(2)))

    assert [answer.status_code for answer in joined] == [200, 200]
    assert joined[0].content == joined[1].content
    assert len(await charged(alice)) == (await upstream.served())["received"] == 1


async def test_a_retry_gets_the_answer_that_came_before_it(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    await leave(api, alice)
    await api.idle()

    retried = await post(api, alice, RETRY, messages=SLOWLY)

    assert retried.headers["x-tokenproxy-replay-of"].startswith("req_")
    assert len(await charged(alice)) == (await upstream.served())["received"] == 1


async def test_a_retry_starts_anew_if_the_answer_was_too_large_to_hand_over(
    api: Api, alice: Customer, upstream: Sandbox, settings: Any
) -> None:
    settings.IDEMPOTENCY_MAX_BYTES = 100
    await leave(api, alice)

    retried = await post(api, alice, RETRY, messages=SLOWLY)

    assert retried.status_code == 200
    assert len(await charged(alice)) == (await upstream.served())["received"] == 2


async def test_only_a_retry_joins(api: Api, alice: Customer, upstream: Sandbox) -> None:
    await leave(api, alice)

    fresh = await post(api, alice, {}, messages=SLOWLY)
    other = await post(api, alice, RETRY, messages=HELLO)

    assert (fresh.status_code, other.status_code) == (200, 200)
    await api.idle()
    assert len(await charged(alice)) == (await upstream.served())["received"] == 3


async def test_a_call_goes_on_for_as_long_as_a_retry_waits_for_it(
    api: Api, alice: Customer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The answer takes 2.5 s; without the retry it would be given up after 1.
    settings.CLIENT_LEFT_GRACE_S = 1
    monkeypatch.setattr(recordings, "LEASE_S", 0.9)
    monkeypatch.setattr("proxy.serving.replay.recorder.LEASE_S", 0.9)
    slower = [{"role": "user", "content": "[[tokens=50]] [[tps=20]]"}]
    asked: dict[str, Any] = {"messages": slower, "max_tokens": 60}
    await leave(api, alice, asked)

    joined = await post(api, alice, RETRY, **asked)

    assert joined.status_code == 200
    assert len(await charged(alice)) == 1


async def test_a_retry_joins_a_call_of_another_process(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    first, other = api.runtime, await Runtime.start()
    await leave(api, alice)
    api.runtime = other

    joined = await post(api, alice, RETRY, messages=SLOWLY)

    api.runtime = first
    await other.stop()
    assert joined.status_code == 200
    assert (await upstream.served())["received"] == 1
    assert len(await charged(alice)) == 1


@pytest.mark.parametrize("headers", [once(), RETRY])
async def test_who_waits_for_a_process_that_died_starts_anew(
    api: Api,
    alice: Customer,
    upstream: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
) -> None:
    monkeypatch.setattr(recordings, "LEASE_S", 0.5)
    body = orjson.dumps({"model": "gpt-4", "messages": HELLO, "max_tokens": 10})
    await leave_running(api, alice, headers.get("Idempotency-Key", ""), body)

    answers = await asyncio.gather(
        *(
            api.client.post(
                PATHS["chat.completions"],
                headers=alice.headers | headers | {"content-type": "application/json"},
                content=body,
            )
            for _ in range(2)
        )
    )

    # With a key, one of the two takes the place of the first, and the other still waits.
    calls = 1 if "Idempotency-Key" in headers else 2
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(await charged(alice)) == (await upstream.served())["received"] == calls


async def test_nothing_is_sent_for_who_left_while_it_waited(
    api: Api, alice: Customer, upstream: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "LEASE_S", 0.5)
    monkeypatch.setattr("proxy.serving.replay.retries.POLL_S", 1)
    asked = {"model": "gpt-4", "messages": HELLO, "max_tokens": 10}
    await leave_running(api, alice, "order-1", orjson.dumps(asked))

    with pytest.raises(httpx.ReadTimeout):
        await api.client.post(
            PATHS["chat.completions"],
            headers=alice.headers | once() | {"content-type": "application/json"},
            content=orjson.dumps(asked),
            timeout=0.2,
        )
    # It looks again a second after it began, when the first request's lease has run out.
    await asyncio.sleep(1.5)

    assert (await upstream.served())["received"] == 0
    assert await charged(alice) == []


async def leave_running(api: Api, customer: Customer, name: str, body: bytes) -> None:
    """Leave what a killed process leaves: a recording that nobody renews."""
    wallet_id = await in_database(lambda: wallet_of(customer.user).pk)
    ticket = Ticket(wallet_id, customer.key.pk, "chat.completions", name, body)
    running = Recorded(State.RUNNING, "req_dead", ticket.digest(), {}).pack()
    assert await api.runtime.recordings.claim(ticket, running) is None


async def test_it_keeps_an_answer_once_redis_is_back(
    api: Api, alice: Customer, valkey_server: Valkey, upstream: Sandbox
) -> None:
    asking = asyncio.create_task(post(api, alice, once(), messages=SLOWLY))
    await until(lambda: len(api.runtime.inflight))
    valkey_server.kill()
    first = await asking
    valkey_server.start()
    await in_database(recover)
    await api.idle()

    second = await post(api, alice, once(), messages=SLOWLY)

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert (await upstream.served())["received"] == 1


async def test_it_answers_503_to_an_idempotency_key_while_redis_is_away(
    api: Api, alice: Customer, valkey_server: Valkey
) -> None:
    valkey_server.kill()
    try:
        response = await post(api, alice, once())
    finally:
        valkey_server.start()

    assert response.status_code == 503
    assert_envelope(response, code="wallet_recovering")
