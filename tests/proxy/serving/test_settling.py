"""Ends of requests while Redis is away, leases, and two instants at which things go wrong."""

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from billing.upkeep.adoption import adopt_journals
from billing.upkeep.recovery import recover
from billing.wallet import keys
from billing.wallet.journal import JournalContents, journal_files
from billing.wallet.sync_client import SyncWalletClient
from devstack.services import Valkey
from proxy.database import in_database
from proxy.metering.counts import Count
from proxy.metering.prompt import Prompt
from proxy.serving.call import Call
from proxy.serving.endings import progress
from proxy.serving.inflight import NOTED_AFTER_S
from tests.proxy.canned import json_answer, serve_canned
from tests.proxy.conftest import HELLO, Api, Customer, Sandbox, until
from tests.proxy.streams import hang_up_after

SLOW: dict[str, Any] = {
    "messages": [{"role": "user", "content": "[[tokens=20]] [[tps=20]]"}],
    "max_tokens": 30,
}


async def first_call(api: Api) -> Call:
    """Wait until a request is in flight, and return it."""
    await until(lambda: len(api.runtime.inflight))
    return next(iter(api.runtime.inflight))


def read_journal(folder: Path) -> JournalContents:
    contents = JournalContents()
    for path in journal_files(folder):
        contents.read(path)
    return contents


async def test_it_answers_although_redis_is_gone_and_settles_when_it_is_back(
    api: Api, alice: Customer, valkey_server: Valkey
) -> None:
    asking = asyncio.create_task(api.chat(alice, **SLOW))
    await first_call(api)
    valkey_server.kill()

    response = await asking
    refused = await api.chat(alice)
    # Not in a thread: a server dies with the thread that started it.
    valkey_server.start()
    still_refused = await api.chat(alice)
    await in_database(recover)
    await api.idle()

    record = await alice.record()
    assert response.status_code == 200
    assert "x-tokenproxy-credits-charged" not in response.headers
    assert (refused.status_code, still_refused.status_code) == (503, 503)
    assert record is not None
    assert (record.outcome, record.completion_tokens) == ("completed", 20)
    assert record.charged_credits == response.json()["usage"]["total_tokens"]
    balance = await alice.balance()
    assert balance.available_credits == 10_000 - record.charged_credits
    assert balance.held_credits == 0


async def test_an_answer_within_its_hold_does_not_wait_for_a_redis_that_hangs(
    api: Api, alice: Customer, valkey_server: Valkey
) -> None:
    asking = asyncio.create_task(api.chat(alice, **SLOW))
    await first_call(api)
    valkey_server.process.signal(signal.SIGSTOP)
    try:
        response = await asking
    finally:
        valkey_server.process.signal(signal.SIGCONT)
    await api.idle()

    record = await alice.record()
    assert record is not None
    assert record.charged_credits == response.json()["usage"]["total_tokens"]
    assert response.headers["x-tokenproxy-credits-charged"] == str(record.charged_credits)
    assert (await alice.balance()).held_credits == 0


async def test_an_answer_beyond_its_hold_says_what_redis_charged(api: Api, alice: Customer) -> None:
    figures = {"prompt_tokens": 9_000, "completion_tokens": 3_000, "total_tokens": 12_000}
    message = {"role": "assistant", "content": "one two three"}
    answer = {"choices": [{"message": message}], "usage": figures}
    async with serve_canned(json_answer(200, answer)) as canned:
        await api.send_to(canned.base_url)
        response = await api.chat(alice, max_tokens=3_000)

    # All that she had is charged, and the rest is written off.
    record = await alice.record()
    assert record is not None
    assert response.headers["x-tokenproxy-credits-charged"] == str(record.charged_credits)
    assert (record.target_credits, record.charged_credits) == (12_000, 10_000)


async def test_it_notes_every_request_and_its_end_in_the_journal(
    api: Api, alice: Customer, journal_dir: Path
) -> None:
    served = await api.chat(alice, max_tokens=10)
    await api.sell("fault-500")
    refused = await api.chat(alice, "fault-500", max_tokens=10)

    contents = read_journal(journal_dir)
    served_id, refused_id = (r.headers["x-request-id"] for r in (served, refused))
    assert set(contents.held) == {served_id, refused_id}
    assert contents.ended[served_id][1].completion_tokens == 10
    assert contents.voided == {refused_id}
    assert contents.open_requests() == []


async def test_it_leaves_a_hold_that_redis_does_not_know_to_the_worker_at_once(
    api: Api,
    alice: Customer,
    journal_dir: Path,
    redis_wallets: SyncWalletClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("billing.wallet.journal.SOON_S", 0)
    asking = asyncio.create_task(api.chat(alice, **SLOW))
    call = await first_call(api)
    lose_hold(redis_wallets, call)

    response = await asking
    await until(lambda: read_journal(journal_dir).is_rotated)
    await in_database(adopt_journals)

    record = await alice.record()
    assert record is not None
    assert record.charged_credits == response.json()["usage"]["total_tokens"]
    assert response.headers["x-tokenproxy-credits-charged"] == str(record.charged_credits)
    assert (await alice.balance()).available_credits == 10_000 - record.charged_credits


async def test_an_answer_whose_lease_ran_out_waits_for_what_redis_says(
    api: Api, alice: Customer, redis_wallets: SyncWalletClient, settings: Any
) -> None:
    asking = asyncio.create_task(api.chat(alice, **SLOW))
    call = await first_call(api)
    call.held_at -= settings.HOLD_LEASE_S
    lose_hold(redis_wallets, call)

    response = await asking

    # Redis does not know the hold, so it does not say what was charged.
    assert response.status_code == 200
    assert "x-tokenproxy-credits-charged" not in response.headers


def lose_hold(client: SyncWalletClient, call: Call) -> None:
    """Make Redis forget a hold, as a rebuild does of which it had no line yet."""
    wallet_id, request_id = call.facts.wallet_id, call.facts.request_id
    client.redis.delete(keys.hold(wallet_id, request_id))
    client.redis.zrem(keys.leases(keys.shard_of(wallet_id)), request_id)
    client.redis.hset(keys.wallet(wallet_id), "held", 0)


async def test_it_starts_nothing_that_it_cannot_note(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    api.runtime.journal.close()

    response = await api.chat(alice)

    assert response.status_code == 503
    assert (await upstream.served())["received"] == 0
    assert (await alice.balance()).held_credits == 0


async def test_it_charges_what_was_answered_although_the_journal_has_no_room_for_it(
    api: Api, alice: Customer, journal_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asyncio.create_task(api.chat(alice, **SLOW))
    await first_call(api)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda file, line: 0)
        response = await asking
        refused = await api.chat(alice)

    served_again = await api.chat(alice, max_tokens=10)

    assert (response.status_code, refused.status_code, served_again.status_code) == (200, 503, 200)
    record = await alice.receipt(response.headers["x-request-id"])
    assert record is not None
    assert record.charged_credits == response.json()["usage"]["total_tokens"]
    assert int(response.headers["x-tokenproxy-credits-charged"]) == record.charged_credits
    assert (await alice.balance()).held_credits == 0
    assert response.headers["x-request-id"] in read_journal(journal_dir).ended


async def test_a_redis_that_hangs_does_not_stop_the_time_of_what_runs(
    api: Api, alice: Customer, valkey_server: Valkey, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asyncio.create_task(api.chat(alice, **SLOW))
    call = await first_call(api)
    ticks: list[float] = []
    monkeypatch.setattr(call, "check", ticks.append)
    settings.HOLD_LEASE_S = 0
    monkeypatch.setattr("proxy.serving.inflight.TICK_S", 0.01)
    valkey_server.process.signal(signal.SIGSTOP)
    watching = asyncio.create_task(api.runtime.inflight.watch())
    try:
        async with asyncio.timeout(1):
            while len(ticks) < 5:  # noqa: ASYNC110  # there is no event to wait for
                await asyncio.sleep(0.01)
    finally:
        watching.cancel()
        valkey_server.process.signal(signal.SIGCONT)

    assert (await asking).status_code == 200


async def test_it_records_the_progress_of_a_stream_with_its_lease(
    api: Api, alice: Customer, redis_wallets: SyncWalletClient
) -> None:
    leaving = asyncio.create_task(hang_up_after(api, alice, events=12))
    call = await first_call(api)
    # Some text must have come: the opening alone is free. It comes at 20 tokens a second.
    await until(lambda: call.connection.has_started and call.connection.age_ms > 300)

    await api.runtime.inflight.renew_leases(list(api.runtime.inflight))

    told = await progress(call)
    [hold] = list(redis_wallets.redis.scan_iter("*:hold:*"))
    noted = int(redis_wallets.redis.hget(hold, "pt") or 0)
    assert 0 < noted <= told.target_credits
    assert told.outcome == "abandoned"
    await leaving
    await api.idle()


async def test_a_lease_is_renewed_without_counting_the_prompt_again(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    count = Prompt.count

    def watch(prompt: Prompt, how: Count) -> int:
        counted.append(count(prompt, how))
        return counted[-1]

    monkeypatch.setattr(Prompt, "count", watch)
    leaving = asyncio.create_task(hang_up_after(api, alice, events=12))
    call = await first_call(api)
    await until(lambda: call.connection.has_started and call.connection.age_ms > 300)

    for _ in range(3):
        await api.runtime.inflight.renew_leases([call])

    assert len(counted) == 1
    await leaving
    await api.idle()


async def test_it_settles_what_was_delivered_when_the_server_cancels_its_task(
    api: Api, alice: Customer
) -> None:
    reading = asyncio.create_task(hang_up_after(api, alice, events=400))
    call = await first_call(api)
    await until(lambda: call.connection.has_started and call.connection.age_ms > 500)

    assert call.task is not None
    call.task.cancel()
    with pytest.raises(httpx.RemoteProtocolError):
        await reading
    await api.idle()

    record = await alice.record()
    assert record is not None
    assert (record.outcome, record.source) == ("broken", "estimated")
    assert record.completion_tokens > 0
    assert (await alice.balance()).held_credits == 0


async def test_it_settles_a_whole_answer_whose_task_is_cancelled_while_it_is_counted(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_counting, may_go_on = threading.Event(), threading.Event()

    def count_slowly(prompt: Prompt, count: Count) -> int:
        is_counting.set()
        may_go_on.wait(10)
        return 7

    monkeypatch.setattr(Prompt, "count", count_slowly)
    monkeypatch.setattr(Prompt, "is_short", False)
    monkeypatch.setattr(Prompt, "is_quickly_counted", False)
    message = {"role": "assistant", "content": "one two three"}
    async with serve_canned(json_answer(200, {"choices": [{"message": message}]})) as canned:
        await api.send_to(canned.base_url)
        asking = asyncio.create_task(api.chat(alice))
        call = await first_call(api)
        await until(is_counting.is_set)

        assert call.task is not None
        call.task.cancel()
        with suppress(httpx.HTTPError):
            await asking
        may_go_on.set()
        await api.idle()

    record = await alice.record()
    assert record is not None
    assert (record.outcome, record.source) == ("completed", "estimated")
    assert record.charged_credits == 7 + 3
    assert (await alice.balance()).held_credits == 0


async def test_it_takes_no_offence_at_a_client_that_leaves_before_its_request_is_read(
    api: Api, alice: Customer
) -> None:
    host, port = api.base_url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    response = await api.chat(alice)

    assert response.status_code == 200


async def test_it_gives_up_a_client_that_does_not_read(
    api: Api, alice: Customer, settings: Any
) -> None:
    settings.SLOW_READER_S = 1
    # Words follow the huge event one by one: if they came with it, in one piece, all that could
    # be felt of the client is that it does not read the end.
    await api.sell("fault-huge-event-6000-20tps")

    async with reading_nothing(api, alice, "fault-huge-event-6000-20tps"):
        await first_call(api)
        await api.idle()

    record = await alice.record()
    assert record is not None
    assert record.outcome == "client_left"
    assert (await alice.balance()).held_credits == 0


@asynccontextmanager
async def reading_nothing(api: Api, customer: Customer, model: str) -> AsyncIterator[None]:
    """Ask for a stream and take not a byte of it."""
    host, port = api.base_url.removeprefix("http://").split(":")
    body = json.dumps({"model": model, "stream": True, "messages": HELLO})
    # Small buffers, so that the server feels soon that nobody reads.
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (host, int(port)))
    request = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
        f"authorization: Bearer {customer.secret}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    )
    await loop.sock_sendall(client, request.encode())
    try:
        yield
    finally:
        client.close()


class Hesitant:
    """An upstream that says nothing until it is told to, and then refuses."""

    def __init__(self) -> None:
        self.may_refuse = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        await self.may_refuse.wait()
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()


@asynccontextmanager
async def asking_hesitant(api: Api, customer: Customer) -> AsyncIterator[tuple[Hesitant, Call]]:
    """Send a request to a hesitant upstream, which refuses it at last."""
    hesitant = Hesitant()
    server = await asyncio.start_server(hesitant.serve, "127.0.0.1", 0)
    await api.send_to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    asking = asyncio.create_task(api.chat(customer))
    call = await first_call(api)
    await until(lambda: call.may_have_run)
    try:
        yield hesitant, call
    finally:
        hesitant.may_refuse.set()
        await asking
        await api.idle()
        server.close()


async def test_the_journal_learns_what_a_call_costs_when_its_upstream_has_had_it_for_a_second(
    api: Api, alice: Customer, journal_dir: Path
) -> None:
    async with asking_hesitant(api, alice) as (_, call):
        before = call.asked_at + NOTED_AFTER_S - 0.001
        await api.runtime.inflight.note_asked(before)
        assert read_journal(journal_dir).if_lost == {}

        await api.runtime.inflight.note_asked(call.asked_at + NOTED_AFTER_S)

        noted = read_journal(journal_dir).if_lost[call.facts.request_id]
        assert (noted.outcome, noted.source, noted.prompt_tokens) == ("abandoned", "estimated", 9)
        assert noted.target_credits == 9


async def test_what_the_journal_has_of_a_call_is_taken_back_when_it_is_refused(
    api: Api, alice: Customer, journal_dir: Path
) -> None:
    async with asking_hesitant(api, alice) as (hesitant, call):
        await api.runtime.inflight.note_asked(call.asked_at + NOTED_AFTER_S)
        assert read_journal(journal_dir).if_lost

        hesitant.may_refuse.set()
        await api.idle()

        assert read_journal(journal_dir).if_lost == {}


async def test_a_call_that_has_ended_is_noted_no_more(
    api: Api, alice: Customer, journal_dir: Path
) -> None:
    async with asking_hesitant(api, alice) as (hesitant, call):
        hesitant.may_refuse.set()
        await api.idle()

        api.runtime.inflight._calls.add(call)
        await api.runtime.inflight.note_asked(call.asked_at + 60)
        api.runtime.inflight._calls.discard(call)

        assert read_journal(journal_dir).if_lost == {}
