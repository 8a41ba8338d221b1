"""What is held, and charged at most, where a file, a provider or our own count may be wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from billing.models import PublicModel
from proxy.database import in_database
from proxy.models import Route
from tests.proxy.canned import json_answer, serve_canned
from tests.proxy.conftest import HELLO, Api, Customer, assert_envelope
from tests.proxy.hostile_files import gif, jpeg, pdf, url, webp

Make = Callable[..., Customer]
STRANGER = "acme-vision"


def asking(part: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}], "max_tokens": 10}


def image(kind: str, data: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url(kind, data)}}


PDF = {"type": "file", "file": {"file_data": url("application/pdf", pdf(1_000))}}
FILES = {
    "pdf": PDF,
    "sound": {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
    "gif": image("image/gif", gif(4_000, 4_000)),
    "jpeg": image("image/jpeg", jpeg(4_000, 4_000)),
    "webp": image("image/webp", webp(4_000, 4_000)),
}


async def change_model(api: Api, name: str, **fields: Any) -> None:
    await in_database(lambda: PublicModel.objects.filter(name=name).update(**fields))
    await api.runtime.catalogue.refresh()


async def change_routes(api: Api, **fields: Any) -> None:
    await in_database(lambda: Route.objects.update(**fields))
    await api.runtime.catalogue.refresh()


@pytest.mark.parametrize("part", FILES.values(), ids=FILES)
async def test_it_holds_the_context_for_a_hostile_file(
    api: Api, make_customer: Make, part: dict[str, Any]
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=32_010)
    await api.sell(STRANGER)
    await change_model(api, STRANGER, context_tokens=32_000)

    poor = await api.chat(bob, STRANGER, **asking(part) | {"max_tokens": 11})
    served = await api.chat(bob, STRANGER, **asking(part))

    record = await bob.record()
    assert (poor.status_code, served.status_code) == (429, 200)
    assert record is not None
    assert record.held_credits == 32_000 + 10
    assert record.charged_credits < 1_000


@pytest.mark.parametrize("part", FILES.values(), ids=FILES)
async def test_it_refuses_a_file_while_the_context_is_not_known(
    api: Api, alice: Customer, part: dict[str, Any]
) -> None:
    await api.sell(STRANGER)

    response = await api.chat(alice, STRANGER, **asking(part))

    assert response.status_code == 400
    assert "context_tokens" in assert_envelope(response, code="context_not_known")
    assert (await api.upstream.served())["received"] == 0
    assert (await alice.balance()).held_credits == 0


async def test_an_estimate_never_shows_the_bound_as_a_count(api: Api, alice: Customer) -> None:
    body = {"model": "gpt-4", **asking(PDF)}

    estimate = (await api.client.post("/v1/estimate", headers=alice.headers, json=body)).json()

    # What the file's size suggests, and what gpt-4 can read at all.
    assert estimate["prompt_tokens"] < 2_000
    assert estimate["most_prompt_tokens"] == 8_192
    assert estimate["most_credits"] == 8_192 + 10


async def test_it_holds_what_a_provider_counts_beside_the_maximum(
    api: Api, make_customer: Make
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=1_000)
    before = (await estimate_of(api, bob))["most_credits"]
    await change_routes(api, reasoning_beyond_maximum=200)

    estimate = await estimate_of(api, bob)

    assert estimate["most_credits"] == before + 2 * 200
    assert estimate["beside_max_tokens"] == 200


async def estimate_of(api: Api, customer: Customer) -> dict[str, int]:
    body = {"model": "gpt-4", "messages": HELLO, "max_tokens": 30, "n": 2}
    answer = await api.client.post("/v1/estimate", headers=customer.headers, json=body)
    figures: dict[str, int] = answer.json()
    return figures


def answered(text: str, usage: dict[str, Any] | None) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    body = {"id": "c", "object": "chat.completion", "choices": [choice]}
    return json_answer(200, body | ({"usage": usage} if usage else {}))


@pytest.mark.parametrize(("reasoning", "source"), [(200, "reported"), (201, "parked")])
async def test_it_charges_what_was_reported_beside_the_maximum_as_far_as_the_route_says(
    api: Api, alice: Customer, reasoning: int, source: str
) -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 30 + reasoning,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    async with serve_canned(answered("Hi", usage)) as canned:
        await api.send_to(canned.base_url)
        await change_routes(api, reasoning_beyond_maximum=200)
        await api.chat(alice, max_tokens=30)

    record = await alice.record()
    assert record is not None
    assert record.source == source
    assert record.charged_credits <= record.held_credits
    assert (record.charged_credits == 9 + 30 + 200) is (source == "reported")


@pytest.mark.parametrize("n", [1, 2])
async def test_an_estimate_of_an_answer_is_never_above_the_clients_maximum(
    api: Api, alice: Customer, n: int
) -> None:
    async with serve_canned(answered("word " * 500, None)) as canned:
        await api.send_to(canned.base_url)
        await api.chat(alice, max_tokens=40, n=n)

    record = await alice.record()
    assert record is not None
    assert (record.source, record.completion_tokens) == ("estimated", 40 * n)
