"""Keys, circuits and limits as requests of the API meet them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from billing.models import InboxItem, UsageRecord
from billing.upkeep.drain import drain
from common.encryption import encrypt_secret
from proxy.database import in_database
from proxy.models import Provider, ProviderKey, Route
from proxy.parsing.origins import origin_of
from proxy.upstreams import client as upstream_module
from proxy.upstreams.attempts import RetryBudget
from proxy.upstreams.providers.health_report import Figures, read_health
from proxy.upstreams.providers.pausing import pause, resume
from proxy.upstreams.shared import CircuitLimits
from tests.proxy.canned import Canned, json_answer, serve_canned
from tests.proxy.conftest import Api, Customer, Sandbox, until
from tests.proxy.streams import hang_up_after
from tests.proxy.upstreams.first_provider import add_first

OK = json_answer(
    200,
    {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    },
)


async def put_first(api: Api, model: str, **given: Any) -> None:
    """Put a provider before the sandbox, which calls gpt-4 by the name of a fault."""
    await in_database(add_first, api.upstream, model, **given)
    await api.runtime.catalogue.refresh()


def add_wrong_key() -> ProviderKey:
    """Give the sandbox a key that it does not know, to be used first."""
    provider = Provider.objects.get(name="sandbox")
    provider.keys.update(priority=1)
    return ProviderKey.objects.create(
        provider=provider,
        encrypted_secret=encrypt_secret("sk-wrong"),
        hint="rong",
        origin=origin_of(provider.base_url),
    )


async def served_by(api: Api, customer: Customer) -> tuple[str, int]:
    """Send a request, and say who answered it after how many tries."""
    response = await api.chat(customer, max_tokens=5)
    assert response.status_code == 200, response.text
    return await in_database(_read_receipt, response.headers["x-request-id"])


def _read_receipt(request_id: str) -> tuple[str, int]:
    drain()
    record = UsageRecord.objects.get(request_id=request_id)
    return record.provider_name, record.attempts


async def test_a_refused_key_is_ejected_and_the_next_one_serves(api: Api, alice: Customer) -> None:
    wrong = await in_database(add_wrong_key)
    await api.runtime.catalogue.refresh()

    first, second = await served_by(api, alice), await served_by(api, alice)
    await api.runtime.upstreams.health.finish()

    await in_database(wrong.refresh_from_db)
    assert (first, second) == (("sandbox", 2), ("sandbox", 1))
    assert wrong.ejection_reason == "401 invalid_api_key"
    assert await in_database(InboxItem.objects.count) == 1


async def test_a_busy_upstream_is_left_alone_as_long_as_it_says(api: Api, alice: Customer) -> None:
    await put_first(api, "fault-429-30")

    tries = [await served_by(api, alice) for _ in range(3)]

    assert tries == [("sandbox", 2), ("sandbox", 1), ("sandbox", 1)]


async def test_a_failing_route_is_left_alone_and_taken_back_by_one_try(
    api: Api, alice: Customer
) -> None:
    health = api.runtime.upstreams.health
    # Longer than a request takes on a busy machine.
    health.limits = CircuitLimits(least_volume=3, open_ms=2_500)
    await put_first(api, "fault-500")

    before = [await served_by(api, alice) for _ in range(3)]
    await until(lambda: health._open)
    during = await served_by(api, alice)
    # The upstream is mended, and the pause goes by.
    await in_database(Route.objects.filter(provider__name="first").update, upstream_model="gpt-4o")
    await api.runtime.catalogue.refresh()
    await until(
        lambda: not any(at > asyncio.get_running_loop().time() for at, _ in health._open.values())
    )
    after = await served_by(api, alice)

    assert before == [("sandbox", 2)] * 3
    assert during == ("sandbox", 1)
    assert after == ("first", 1)
    await until(lambda: not health._open)


async def test_it_answers_503_and_charges_nothing_if_every_circuit_is_open(
    api: Api, alice: Customer
) -> None:
    health = api.runtime.upstreams.health
    health.limits = CircuitLimits(least_volume=2)
    await api.sell("fault-500")
    statuses = [(await api.chat(alice, "fault-500")).status_code for _ in range(2)]
    await until(lambda: health._open)

    response = await api.chat(alice, "fault-500")

    assert statuses == [502, 502]
    assert response.status_code == 503
    assert (await api.upstream.served())["received"] == 2
    assert await alice.record() is None
    assert (await alice.balance()).held_credits == 0


@pytest.mark.parametrize(
    ("model", "is_stream"),
    [
        ("fault-error-event-2", True),
        ("fault-no-done", True),
        ("fault-not-json", True),
        ("fault-not-json", False),
    ],
)
async def test_answers_that_begin_and_break_open_a_circuit_too(
    api: Api, alice: Customer, model: str, is_stream: bool
) -> None:
    health = api.runtime.upstreams.health
    health.limits = CircuitLimits(least_volume=3)
    await api.sell(model)

    endpoint = "responses" if model == "fault-no-done" else "chat.completions"
    for _ in range(3):
        await api.ask(alice, endpoint, model, **({"stream": True} if is_stream else {}))

    await until(lambda: health._open)
    assert (await alice.balance()).held_credits == 0


async def test_it_repeats_no_more_than_the_budget_allows(api: Api, alice: Customer) -> None:
    await put_first(api, "fault-500")
    budget = RetryBudget(reserve=2, share=0)
    object.__setattr__(api.runtime.upstreams, "budget", budget)

    statuses = [(await api.chat(alice)).status_code for _ in range(4)]

    assert statuses == [200, 200, 502, 502]


async def test_a_request_pays_in_for_the_standby_too(api: Api, alice: Customer) -> None:
    await put_first(api, "fault-500")
    budget = RetryBudget(reserve=1, share=1)
    object.__setattr__(api.runtime.upstreams, "budget", budget)

    statuses = [(await api.chat(alice)).status_code for _ in range(4)]

    assert statuses == [200, 200, 200, 200]


async def test_a_provider_whose_keys_are_all_ejected_is_still_asked(
    api: Api, alice: Customer
) -> None:
    await in_database(
        ProviderKey.objects.update, ejected_at="2026-01-01T00:00Z", ejection_reason="x"
    )
    await api.runtime.catalogue.refresh()

    assert await served_by(api, alice) == ("sandbox", 1)


async def test_a_paused_provider_gets_no_new_request_and_another_serves(
    api: Api, alice: Customer
) -> None:
    async with serve_canned(OK) as canned:
        await put_first(api, "gpt-4", base_url=canned.base_url)
        first = await in_database(lambda: Route.objects.order_by("priority")[0].provider)
        await in_database(pause, first, "Its answers are wrong")
        await api.runtime.catalogue.refresh()

        while_paused = await served_by(api, alice)
        await in_database(resume, first)
        await api.runtime.catalogue.refresh()
        afterwards = await served_by(api, alice)

    assert (while_paused, afterwards) == (("sandbox", 1), (first.name, 1))


async def test_a_model_whose_only_provider_is_paused_stays_on_sale_and_asks_to_try_later(
    api: Api, alice: Customer
) -> None:
    await in_database(pause, await in_database(Provider.objects.get), "Maintenance")
    await api.runtime.catalogue.refresh()

    response = await api.chat(alice)
    listed = (await api.client.get("/v1/models", headers=alice.headers)).json()["data"]

    assert response.status_code == 503
    assert [each["id"] for each in listed] == ["gpt-4"]
    assert (await api.upstream.served())["received"] == 0
    assert (await alice.balance()).held_credits == 0


async def test_a_stream_under_way_ends_whole_though_its_provider_is_paused(
    api: Api, alice: Customer
) -> None:
    body = {
        "model": "gpt-4",
        "stream": True,
        "messages": [{"role": "user", "content": "[[tokens=20]] [[tps=20]]"}],
    }
    provider = await in_database(Provider.objects.get)
    lines: list[str] = []

    async with api.client.stream(
        "POST", "/v1/chat/completions", json=body, headers=alice.headers
    ) as answer:
        async for line in answer.aiter_lines():
            if not lines:
                await in_database(pause, provider, "Maintenance")
                await api.runtime.catalogue.refresh()
            lines.append(line)

    assert "data: [DONE]" in lines


async def test_a_route_takes_only_what_it_serves(api: Api, alice: Customer) -> None:
    await in_database(Route.objects.update, endpoints=["embeddings"])
    await api.runtime.catalogue.refresh()

    response = await api.chat(alice)

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_supported"
    assert (await api.upstream.served())["received"] == 0
    assert (await alice.balance()).held_credits == 0


async def test_the_upstream_gets_what_it_understands(api: Api, alice: Customer) -> None:
    def limit() -> None:
        Provider.objects.update(reports_usage=False, parameter_rules=[{"drop": "temperature"}])
        Route.objects.update(
            parameter_rules=[{"rename": "max_tokens", "to": "max_completion_tokens"}]
        )

    await in_database(limit)
    async with serve_canned(OK) as canned:
        await api.send_to(canned.base_url)
        await api.chat(alice, max_tokens=7)
        await api.chat(alice, max_tokens=7, stream=True)

    first, second = (orjson.loads(sent.partition(b"\r\n\r\n")[2]) for sent in canned.requests)
    assert set(first) == {"model", "messages", "max_completion_tokens"}
    assert first["max_completion_tokens"] == 7
    assert set(second) == {*first, "stream"}


@pytest.mark.parametrize("status", [408, 504, 524])
async def test_it_does_not_repeat_what_a_gateway_gave_up_waiting_for(
    api: Api, alice: Customer, status: int
) -> None:
    async with serve_canned(json_answer(status, {})) as canned:
        await put_first(api, "gpt-4", base_url=canned.base_url)
        response = await api.chat(alice)

    assert response.status_code in {502, 503, 504}
    assert (await api.upstream.served())["received"] == 0


async def test_it_repeats_what_was_hung_up_on_at_once_and_not_later(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_canned(b"", hangs_up=True) as canned:
        await put_first(api, "gpt-4", base_url=canned.base_url)
        at_once = await api.chat(alice)
        monkeypatch.setattr(upstream_module, "HANG_UP_S", 0.0)
        later = await api.chat(alice)

    assert (at_once.status_code, later.status_code) == (200, 502)
    assert len(canned.requests) == 2


async def test_it_gives_up_a_connection_that_does_not_open_in_time(
    api: Api, alice: Customer
) -> None:
    # A listener that accepts nobody, with its queue full: the next connection waits in vain.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        address = deaf.getsockname()
        fillers = [socket.socket() for _ in range(2)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        await put_first(api, "gpt-4", base_url=f"http://127.0.0.1:{address[1]}/v1")
        await api.limit_providers(connect_timeout_s=1)

        provider = await served_by(api, alice)

        for filler in fillers:
            filler.close()
    assert provider == ("sandbox", 2)


async def test_it_follows_no_redirect(api: Api, alice: Customer) -> None:
    target = Canned(OK)
    listener = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    head = f"HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:{port}/v1/chat/completions\r\n"
    async with serve_canned(f"{head}content-length: 0\r\n\r\n".encode()) as canned:
        await api.send_to(canned.base_url)
        response = await api.chat(alice)
    listener.close()

    assert response.status_code == 503
    assert len(canned.requests) == 1
    assert target.connections == 0


async def test_an_address_that_is_no_longer_allowed_is_not_used(
    api: Api, alice: Customer, upstream: Sandbox, settings: Any
) -> None:
    settings.ALLOW_LOOPBACK_PROVIDERS = False
    await api.runtime.catalogue.refresh()

    response = await api.chat(alice)

    assert response.status_code == 404
    assert (await upstream.served())["received"] == 0


async def test_a_healthy_request_asks_redis_nothing_of_its_upstream(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = api.runtime.upstreams.health
    asked: list[str] = []
    ask = health._ask

    async def count(what: str, *arguments: Any) -> Any:
        asked.append(what)
        return await ask(what, *arguments)

    monkeypatch.setattr(health, "_ask", count)
    for _ in range(20):
        assert (await api.chat(alice, max_tokens=2)).status_code == 200

    # Once a second what was seen, and once in two seconds what others have.
    assert set(asked) <= {"report", "read"}
    assert len(asked) < 20


async def test_a_receipt_keeps_what_the_request_cost_us(api: Api, alice: Customer) -> None:
    # 2.50 per million prompt tokens and 10 per million completion tokens.
    prices = {"prompt_cost_micros": 2_500_000, "completion_cost_micros": 10_000_000}
    await in_database(Route.objects.update, **prices)
    await api.runtime.catalogue.refresh()

    await api.chat(alice, max_tokens=5)

    record = await alice.record()
    assert record is not None
    assert record.cost_nanos == record.prompt_tokens * 2_500 + 5 * 10_000


async def test_a_cost_that_is_not_known_stays_so(api: Api, alice: Customer) -> None:
    await api.chat(alice, max_tokens=5)

    record = await alice.record()
    assert record is not None
    assert record.cost_nanos is None


async def figures_of(api: Api, *, least: int = 1) -> tuple[Figures, Figures]:
    """Return what was counted of the only provider's route to gpt-4, and of the provider.

    Waits until that is so many outcomes of the route at least.
    """
    await api.idle()
    async with asyncio.timeout(10):
        while True:
            # The process reports by itself, too, and may be about to.
            await api.runtime.upstreams.health.finish()
            [provider] = await in_database(lambda: list(read_health()))
            [(_, figures)] = provider.routes
            if figures.ok + figures.failed >= least:
                return figures, provider.figures
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_breaks_is_one_failure_and_no_success(
    api: Api, alice: Customer, stream: bool
) -> None:
    await in_database(lambda: Route.objects.update(upstream_model="fault-cut-3"))
    await api.runtime.catalogue.refresh()

    await api.chat(alice, stream=stream, max_tokens=20)

    of_route, of_provider = await figures_of(api)
    assert (of_route.ok, of_route.failed) == (0, 1)
    assert (of_provider.ok, of_provider.failed) == (1, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_comes_to_its_end_is_one_success(
    api: Api, alice: Customer, stream: bool
) -> None:
    await api.chat(alice, stream=stream, max_tokens=20)

    of_route, _ = await figures_of(api)
    assert (of_route.ok, of_route.failed) == (1, 0)
    assert of_route.latency_ms is not None


async def test_an_answer_whose_client_left_is_a_success(api: Api, alice: Customer) -> None:
    await hang_up_after(api, alice, events=2)

    of_route, _ = await figures_of(api)
    assert (of_route.ok, of_route.failed) == (1, 0)


class Forgetful(Canned):
    """An upstream that closes a connection at its second request, without a byte."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for turn in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self.requests.append(head + await reader.readexactly(int(length)))
            if turn == 0 and not self.hangs_up:
                writer.write(self.answer)
                await writer.drain()
                continue
            break
        writer.close()


@asynccontextmanager
async def serve_forgetful(answer: bytes, *, hangs_up: bool = False) -> AsyncIterator[Canned]:
    canned = Forgetful(answer, hangs_up)
    server = await asyncio.start_server(canned.serve, "127.0.0.1", 0)
    canned.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield canned
    server.close()


async def test_a_kept_connection_that_closes_at_once_costs_no_request(
    api: Api, alice: Customer
) -> None:
    async with serve_forgetful(OK) as canned:
        await api.send_to(canned.base_url)

        statuses = [(await api.chat(alice, max_tokens=5)).status_code for _ in range(3)]

    # The second was sent twice; a fresh connection is not kept for the third.
    assert statuses == [200, 200, 200]
    assert (canned.connections, len(canned.requests)) == (3, 4)
    assert (await alice.balance()).held_credits == 0


async def test_a_fresh_connection_that_closes_at_once_is_not_tried_again(
    api: Api, alice: Customer
) -> None:
    async with serve_forgetful(OK, hangs_up=True) as canned:
        await api.send_to(canned.base_url)

        response = await api.chat(alice, max_tokens=5)

    assert response.status_code == 503
    assert len(canned.requests) == 1


async def test_an_error_in_a_200_is_tried_on_the_next_route(api: Api, alice: Customer) -> None:
    refusal = json_answer(200, {"error": {"message": "busy", "code": 503}})
    async with serve_canned(refusal) as canned:
        await put_first(api, "gpt-4", base_url=canned.base_url)

        whole = await served_by(api, alice)
        streamed = await api.chat(alice, stream=True, max_tokens=5)
        receipt = await in_database(_read_receipt, streamed.headers["x-request-id"])

    assert streamed.content.endswith(b"data: [DONE]\n\n")
    assert whole == receipt == ("sandbox", 2)


async def test_errors_in_a_200_that_clients_cause_speak_against_nobody(
    api: Api, alice: Customer
) -> None:
    told = {"code": 400, "message": "prompt is too long: 9000 tokens > 8192 maximum"}
    async with serve_canned(json_answer(200, {"error": told})) as canned:
        await api.send_to(canned.base_url)

        responses = [await api.chat(alice, stream=stream) for stream in (True, False)]
        of_route, _ = await figures_of(api, least=0)

    assert {response.json()["error"]["code"] for response in responses} == {
        "context_length_exceeded"
    }
    assert of_route.failed == 0
    assert await alice.record() is None


async def test_a_customers_own_image_may_be_named(api: Api, alice: Customer) -> None:
    url = "https://images.example.com/a.png"
    said = f"Error while downloading {url}."
    content = [{"type": "image_url", "image_url": {"url": url}}]
    async with serve_canned(json_answer(400, {"error": {"message": said}})) as canned:
        await api.send_to(canned.base_url)

        own = await api.chat(alice, messages=[{"role": "user", "content": content}])
        other = await api.chat(alice)

    assert own.json()["error"]["message"] == said
    assert "images.example.com" not in other.text
