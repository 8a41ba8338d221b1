"""Streams: what the client sees, and what is charged for each ending."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from proxy.database import in_database
from proxy.errors import Reason
from proxy.metering.chunks import ChunkMeter
from proxy.metering.streams import StreamMeter
from proxy.serving.call import Call
from tests.proxy.canned import Canned, chunk, json_answer, serve_canned, stream_answer
from tests.proxy.conftest import HELLO, Api, Customer, Sandbox, assert_envelope, until
from tests.proxy.streams import hang_up_after, read_events, text_of

# What a chunk meter takes for granted, with a limit that a test can reach.
LIMITED = (ChunkMeter.__init__.__kwdefaults__ or {}) | {"max_event_bytes": 100_000}


async def test_it_relays_a_stream_and_charges_what_the_upstream_reported(
    api: Api, alice: Customer
) -> None:
    response = await api.chat(alice, stream=True, max_tokens=20)

    events = read_events(response.content)
    record = await alice.record()
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-cache"
    assert events[-1] == "[DONE]"
    assert record is not None
    assert (record.outcome, record.source, record.is_stream) == ("completed", "reported", True)
    assert record.completion_tokens == len(text_of(events).split())
    assert record.charged_credits == record.prompt_tokens + record.completion_tokens
    assert record.first_byte_ms is not None


async def test_it_says_nothing_of_usage_unless_asked(api: Api, alice: Customer) -> None:
    response = await api.chat(alice, stream=True)

    assert b'"usage"' not in response.content


async def test_it_sends_exactly_one_usage_chunk_if_asked(api: Api, alice: Customer) -> None:
    response = await api.chat(alice, stream=True, stream_options={"include_usage": True})

    events = read_events(response.content)
    record = await alice.record()
    chunks = [event for event in events if event != "[DONE]" and event.get("usage")]
    assert record is not None
    assert [chunk["choices"] for chunk in chunks] == [[]]
    assert chunks[0]["usage"]["total_tokens"] == record.charged_credits
    assert events.index(chunks[0]) == len(events) - 2


async def test_it_has_settled_when_the_end_marker_arrives(api: Api, alice: Customer) -> None:
    body = {"model": "gpt-4", "messages": HELLO, "stream": True}
    async with api.client.stream(
        "POST", "/v1/chat/completions", headers=alice.headers, json=body
    ) as response:
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                break

        balance = await alice.balance()

    assert balance.held_credits == 0
    assert balance.available_credits < 10_000


async def test_it_counts_a_stream_for_itself_if_the_upstream_reports_no_usage(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    await api.sell("fault-no-usage")

    response = await api.chat(alice, "fault-no-usage", stream=True, max_tokens=30)

    record = await alice.record()
    served = await upstream.served(response.headers["x-request-id"])
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert record is not None
    assert (record.outcome, record.source) == ("completed", "estimated")
    assert record.completion_tokens == served["completion_tokens_delivered"] > 0
    assert record.prompt_tokens == served["prompt_tokens"]


async def test_it_parks_impossible_usage_of_a_stream(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    await api.sell("fault-negative-usage")

    response = await api.chat(alice, "fault-negative-usage", stream=True, max_tokens=30)

    record = await alice.record()
    served = await upstream.served(response.headers["x-request-id"])
    assert record is not None
    assert (record.source, record.completion_tokens) == (
        "parked",
        served["completion_tokens_delivered"],
    )


async def test_it_leaves_a_reported_zero_of_a_stream_at_zero(api: Api, alice: Customer) -> None:
    await api.sell("fault-zero-usage")

    await api.chat(alice, "fault-zero-usage", stream=True)

    record = await alice.record()
    assert record is not None
    assert (record.source, record.charged_credits) == ("reported", 0)


@pytest.mark.parametrize("model", ["fault-cut-5", "fault-error-event-5"])
async def test_it_ends_a_broken_stream_with_an_error_and_charges_what_was_delivered(
    api: Api, alice: Customer, upstream: Sandbox, model: str
) -> None:
    await api.sell(model)

    response = await api.chat(alice, model, stream=True, max_tokens=30)

    events = read_events(response.content)
    record = await alice.record()
    served = await upstream.served(response.headers["x-request-id"])
    assert response.status_code == 200
    assert set(events[-1]["error"]) == {"message", "type", "param", "code"}
    assert "[DONE]" not in events
    assert record is not None
    assert (record.outcome, record.source) == ("broken", "estimated")
    assert record.completion_tokens == len(text_of(events).split()) == 5
    assert record.charged_credits == served["prompt_tokens"] + 5


@pytest.mark.parametrize("model", ["fault-cut-0", "fault-error-event-0", "fault-stall-0"])
async def test_it_charges_nothing_for_a_stream_that_breaks_before_any_text(
    api: Api, alice: Customer, model: str
) -> None:
    await api.sell(model)
    await api.limit_providers(idle_timeout_s=1, first_byte_timeout_s=1)

    response = await api.chat(alice, model, stream=True, max_tokens=30)

    # One event says who speaks, and the next one that it went wrong.
    opening, error = read_events(response.content)
    record = await alice.record()
    assert opening["choices"][0]["delta"]["role"] == "assistant"
    assert "error" in error
    assert record is not None
    assert (record.outcome, record.charged_credits) == ("broken", 0)


async def test_it_answers_502_to_a_stream_that_is_none_and_charges_nothing(
    api: Api, alice: Customer
) -> None:
    await api.sell("fault-not-json")

    response = await api.chat(alice, "fault-not-json", stream=True)

    record = await alice.record()
    assert response.status_code == 502
    assert_envelope(response)
    assert record is not None
    assert (record.outcome, record.charged_credits) == ("broken", 0)


async def test_it_waits_for_the_first_byte_of_a_stream_no_longer_than_it_may_take(
    api: Api, alice: Customer
) -> None:
    await api.sell("fault-slow-first-byte-30")
    await api.limit_providers(first_byte_timeout_s=1, idle_timeout_s=20, total_timeout_s=25)
    began_at = time.monotonic()

    response = await api.chat(alice, "fault-slow-first-byte-30", stream=True)

    assert response.status_code == 504
    assert time.monotonic() - began_at < 10


async def test_it_ends_a_stream_of_which_only_the_headers_come(api: Api, alice: Customer) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    async with serve_canned(head) as canned:
        await api.send_to(canned.base_url)
        await api.limit_providers(first_byte_timeout_s=1, idle_timeout_s=20, total_timeout_s=25)
        began_at = time.monotonic()

        response = await api.chat(alice, stream=True)

    assert response.status_code == 504
    assert time.monotonic() - began_at < 10


async def test_a_stream_has_one_limit_for_its_headers_and_its_first_event(
    api: Api, alice: Customer
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    async with serve_canned(head[:9], then=head[9:]) as canned:
        await api.send_to(canned.base_url)
        await api.limit_providers(first_byte_timeout_s=60, idle_timeout_s=60, total_timeout_s=90)
        asking = asyncio.create_task(api.chat(alice, stream=True))
        await until(lambda: canned.requests)
        [call] = api.runtime.inflight
        # As if the headers had taken 55 of the 60 seconds.
        call.limit(Reason.NO_ANSWER, 5)
        canned.goes_on.set()
        await until(lambda: call.stream)

        api.runtime.inflight.check(time.monotonic() + 6)

        async with asyncio.timeout(5):
            response = await asking
    assert response.status_code == 504


async def test_a_stream_that_has_begun_has_met_its_first_limit(api: Api, alice: Customer) -> None:
    whole = stream_answer(chunk("Hi"), chunk(finish=True), "[DONE]")
    cut = whole.index(b"\n\n", whole.index(b"Hi")) + 2
    async with serve_canned(whole[:cut], then=whole[cut:]) as canned:
        await api.send_to(canned.base_url)
        await api.limit_providers(first_byte_timeout_s=5, idle_timeout_s=60, total_timeout_s=90)
        asking = asyncio.create_task(api.chat(alice, stream=True))
        await until(lambda: [call for call in api.runtime.inflight if call.first_byte_ms])

        api.runtime.inflight.check(time.monotonic() + 10)

        canned.goes_on.set()
        response = await asking
    assert response.content.endswith(b"data: [DONE]\n\n")


async def test_it_ends_a_stream_that_falls_silent(api: Api, alice: Customer) -> None:
    await api.sell("fault-stall-5")
    # However long the first event may take.
    await api.limit_providers(idle_timeout_s=1, first_byte_timeout_s=60, total_timeout_s=90)

    response = await api.chat(alice, "fault-stall-5", stream=True, max_tokens=30)

    events = read_events(response.content)
    record = await alice.record()
    assert events[-1]["error"]["code"] == "upstream_unavailable"
    assert record is not None
    assert (record.outcome, record.completion_tokens) == ("broken", 5)


async def test_it_cancels_the_upstream_and_charges_what_was_delivered_when_the_client_leaves(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    request_id = await hang_up_after(api, alice, events=6)

    async with asyncio.timeout(1):
        await api.idle()

    record = await alice.record()
    served = await upstream.served(request_id)
    assert record is not None
    assert (record.outcome, record.source) == ("client_left", "estimated")
    # The first event names the role; one more may have been on its way.
    assert 5 <= record.completion_tokens <= served["completion_tokens_delivered"] <= 8
    assert record.charged_credits == served["prompt_tokens"] + record.completion_tokens
    assert served["cut_by_client"] == 1
    assert (await alice.balance()).held_credits == 0


async def ask_and_leave(api: Api, alice: Customer, canned: Canned) -> None:
    """Ask an upstream that does not answer yet, and leave as soon as it was sent the request."""
    await api.send_to(canned.base_url)
    asking = asyncio.create_task(api.chat(alice, stream=True))
    await until(lambda: canned.requests)
    asking.cancel()
    await until(lambda: all(call.connection.has_left for call in api.runtime.inflight))


async def test_it_charges_nothing_if_the_upstream_refuses_what_its_client_has_left(
    api: Api, alice: Customer
) -> None:
    refusal = json_answer(500, {"error": {"message": "no", "type": "server_error"}})
    async with serve_canned(b"", then=refusal) as canned:
        await ask_and_leave(api, alice, canned)
        canned.goes_on.set()
        await api.idle()

    assert await alice.record() is None
    assert (await alice.balance()).available_credits == 10_000


async def test_it_charges_the_prompt_if_the_upstream_took_what_its_client_has_left(
    api: Api, alice: Customer
) -> None:
    async with serve_canned(b"", then=stream_answer(chunk("Hi"))) as canned:
        await ask_and_leave(api, alice, canned)
        canned.goes_on.set()
        await api.idle()

    record = await alice.record()
    assert record is not None
    assert (record.outcome, record.completion_tokens) == ("client_left", 0)
    assert record.charged_credits == record.prompt_tokens > 0


async def test_it_waits_a_moment_for_an_upstream_to_take_what_its_client_has_left(
    api: Api, alice: Customer
) -> None:
    async with serve_canned(b"", then=b"too late") as canned:
        await ask_and_leave(api, alice, canned)
        async with asyncio.timeout(1):
            await api.idle()
        canned.goes_on.set()

    record = await alice.record()
    assert record is not None
    assert (record.outcome, record.charged_credits) == ("client_left", record.prompt_tokens)


async def test_it_sends_nothing_for_a_client_that_has_left_before(
    api: Api, alice: Customer, upstream: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LeftAtOnce(Call):
        def __init__(self, *admitted: Any) -> None:
            super().__init__(*admitted)
            self.client_left()

    monkeypatch.setattr("proxy.serving.serve.Call", LeftAtOnce)
    with suppress(httpx.HTTPError):
        await api.chat(alice, stream=True)
    await api.idle()

    assert (await upstream.served())["received"] == 0
    assert await alice.record() is None
    assert (await alice.balance()).available_credits == 10_000


async def test_it_hears_out_an_upstream_that_bills_after_a_cancel(
    api: Api, alice: Customer, upstream: Sandbox, settings: Any
) -> None:
    settings.CANCEL_DRAIN_S = 1
    await api.limit_providers(bills_after_cancel=True)
    request_id = await hang_up_after(api, alice, events=6)

    await api.idle()

    record = await alice.record()
    served = await upstream.served(request_id)
    assert record is not None
    assert (record.outcome, record.source) == ("client_left", "estimated")
    assert 5 <= record.completion_tokens <= 8
    # It went on for the bound, at 20 tokens a second, and then no longer.
    assert 15 < served["completion_tokens_delivered"] < 100


async def test_it_sends_a_comment_into_silence(api: Api, alice: Customer, settings: Any) -> None:
    settings.KEEP_ALIVE_S = 1
    await api.sell("fault-stall-3")
    await api.limit_providers(idle_timeout_s=3, first_byte_timeout_s=3)

    response = await api.chat(alice, "fault-stall-3", stream=True)

    assert b": keep-alive\n\n" in response.content


async def test_it_relays_bytes_whatever_way_the_network_cuts_them(
    api: Api, alice: Customer
) -> None:
    await api.sell("fault-byte-chunks")

    response = await api.chat(alice, "fault-byte-chunks", stream=True, max_tokens=10)

    events = read_events(response.content)
    assert events[-1] == "[DONE]"
    assert len(text_of(events).split()) == 10


async def test_it_relays_an_event_of_any_size_up_to_the_limit(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    await api.sell("fault-huge-event-3000")

    response = await api.chat(alice, "fault-huge-event-3000", stream=True, max_tokens=20)

    events = read_events(response.content)
    record = await alice.record()
    assert events[-1] == "[DONE]"
    assert max(map(len, response.content.split(b"\n\n"))) > 3_000 * 1_024
    assert record is not None
    assert (record.outcome, record.source) == ("completed", "reported")


async def test_an_event_above_the_limit_breaks_the_stream(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChunkMeter.__init__, "__kwdefaults__", LIMITED)
    await api.sell("fault-huge-event-3000")

    response = await api.chat(alice, "fault-huge-event-3000", stream=True, max_tokens=20)

    events = read_events(response.content)
    record = await alice.record()
    assert set(events[-1]) == {"error"}
    assert len(response.content) < 100_000
    assert record is not None
    assert (record.outcome, record.source) == ("broken", "estimated")
    assert record.completion_tokens == 1
    assert (await alice.balance()).held_credits == 0


async def test_it_forwards_the_first_piece_within_50_ms(api: Api, alice: Customer) -> None:
    delays_ms = []
    first, rest = chunk("Hi"), stream_answer(chunk(finish=True), "[DONE]").partition(b"\r\n\r\n")[2]
    head = stream_answer(first).removesuffix(b"0\r\n\r\n")
    async with serve_canned(head, then=rest) as canned:
        await api.send_to(canned.base_url)
        for _ in range(5):
            body = {"model": "gpt-4", "messages": HELLO, "stream": True}
            async with api.client.stream(
                "POST", "/v1/chat/completions", headers=alice.headers, json=body
            ) as response:
                async for piece in response.aiter_raw():
                    delays_ms += [(time.monotonic() - canned.written_at) * 1_000] * (
                        not canned.goes_on.is_set()
                    )
                    canned.goes_on.set()
                    last = piece
            assert last.endswith(b"data: [DONE]\n\n")
            canned.goes_on.clear()

    # The other work of this machine is not the API's: the quickest of five tells.
    assert len(delays_ms) == 5
    assert min(delays_ms) < 50


async def test_it_counts_what_has_piled_up_off_the_event_loop(
    api: Api, make_customer: Callable[..., Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=100_000)
    threads: list[bool] = []

    def watch(meter: StreamMeter) -> None:
        if meter.is_behind:
            threads.append(threading.current_thread() is threading.main_thread())
        count(meter)

    count = StreamMeter.catch_up
    monkeypatch.setattr(StreamMeter, "catch_up", watch)
    long = [chunk("word " * 40_000), chunk("word " * 40_000), chunk(finish=True), "[DONE]"]
    async with serve_canned(stream_answer(*long)) as canned:
        await api.send_to(canned.base_url)

        response = await api.chat(bob, stream=True, max_tokens=90_000)

    record = await bob.record()
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert record is not None
    assert record.completion_tokens == 80_001
    assert threads
    assert not any(threads)


async def test_it_keeps_the_connection_to_the_upstream_for_the_next_stream(
    api: Api, alice: Customer
) -> None:
    async with serve_canned(stream_answer(chunk("Hi", finish=True), "[DONE]")) as canned:
        await api.send_to(canned.base_url)

        for _ in range(3):
            await api.chat(alice, stream=True)
            await api.idle()

    assert (canned.connections, len(canned.requests)) == (1, 3)


async def test_it_ends_a_stream_itself_whose_upstream_sends_no_end_marker(
    api: Api, alice: Customer
) -> None:
    async with serve_canned(stream_answer(chunk("Hi"), chunk(finish=True))) as canned:
        await api.send_to(canned.base_url)

        response = await api.chat(alice, stream=True)

    record = await alice.record()
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert record is not None
    assert (record.outcome, record.source, record.completion_tokens) == (
        "completed",
        "estimated",
        1,
    )


async def test_it_takes_a_stream_without_an_end_for_broken(api: Api, alice: Customer) -> None:
    async with serve_canned(stream_answer(chunk("Hi"), chunk(" there"))) as canned:
        await api.send_to(canned.base_url)

        response = await api.chat(alice, stream=True)

    record = await alice.record()
    assert b"[DONE]" not in response.content
    assert b'"error"' in response.content
    assert record is not None
    assert (record.outcome, record.completion_tokens) == ("broken", 2)


async def test_it_charges_nothing_for_a_stream_that_ends_before_it_begins(
    api: Api, alice: Customer
) -> None:
    async with serve_canned(stream_answer()) as canned:
        await api.send_to(canned.base_url)

        response = await api.chat(alice, stream=True)

    record = await alice.record()
    assert response.status_code == 502
    assert record is not None
    assert (record.outcome, record.charged_credits) == ("broken", 0)


async def test_it_passes_on_neither_headers_nor_comments_of_the_upstream(
    api: Api, alice: Customer
) -> None:
    answer = stream_answer(chunk("Hi", finish=True), "[DONE]").replace(
        b"data: ", b": OPENROUTER PROCESSING\n\ndata: ", 1
    )
    length = answer.partition(b"\r\n\r\n")[2].partition(b"\r\n")[0]
    longer = b"%x" % (int(length, 16) + len(b": OPENROUTER PROCESSING\n\n"))
    answer = answer.replace(length + b"\r\n", longer + b"\r\n", 1)
    answer = answer.replace(b"\r\n", b"\r\nopenai-organization: canary\r\nset-cookie: a=1\r\n", 1)
    async with serve_canned(answer) as canned:
        await api.send_to(canned.base_url)

        response = await api.chat(alice, stream=True)
        await api.chat(alice, stream=True)

    assert response.status_code == 200
    assert "openai-organization" not in response.headers
    assert "set-cookie" not in response.headers
    assert b"OPENROUTER" not in response.content
    assert b"cookie" not in canned.requests[1].lower()
