"""Every status and header that is answered is one that the schema names."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from django.test import Client

from billing.ledger.wallets import freeze_wallet, wallet_of
from billing.wallet import keys
from billing.wallet.commands import restoring
from billing.wallet.sync_client import get_sync_client
from proxy.database import in_database
from tests.proxy.accounts import limit
from tests.proxy.conftest import HELLO, Api, Customer

CHAT = "/v1/chat/completions"
WELL_FORMED = {"model": "gpt-4", "messages": HELLO, "max_tokens": 5}
# What HTTP itself has, and what keeps proxies from holding a stream back.
OF_HTTP = {
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cache-control",
    "content-length",
    "content-type",
    "date",
    "server",
    "transfer-encoding",
    "x-accel-buffering",
}

Ask = Callable[[Api, Customer, Any], Awaitable[httpx.Response]]


async def post(api: Api, customer: Customer, path: str = CHAT, **options: Any) -> httpx.Response:
    headers = customer.headers | options.pop("headers", {})
    return await api.client.post(path, headers=headers, **({"json": WELL_FORMED} | options))


async def replayed(api: Api, alice: Customer, settings: Any) -> httpx.Response:
    headers = {"Idempotency-Key": "order-1"}
    await post(api, alice, headers=headers)
    return await post(api, alice, headers=headers)


async def reused(api: Api, alice: Customer, settings: Any) -> httpx.Response:
    headers = {"Idempotency-Key": "order-1"}
    await post(api, alice, headers=headers)
    return await post(api, alice, headers=headers, json=WELL_FORMED | {"max_tokens": 6})


async def frozen(api: Api, alice: Customer, settings: Any) -> httpx.Response:
    await in_database(lambda: freeze_wallet(wallet_of(alice.user), reason="looked stolen"))
    return await post(api, alice)


async def too_fast(api: Api, alice: Customer, settings: Any) -> httpx.Response:
    await limit(alice, requests_per_minute=1)
    await post(api, alice)
    return await post(api, alice)


async def read_too_fast(api: Api, alice: Customer, settings: Any) -> httpx.Response:
    await limit(alice, requests_per_minute=1)
    await api.client.get("/v1/credits", headers=alice.headers)
    return await api.client.get("/v1/credits", headers=alice.headers)


async def recovering(api: Api, alice: Customer, settings: Any) -> httpx.Response:
    def close() -> None:
        shard = keys.shard_of(wallet_of(alice.user).pk)
        get_sync_client().ask(restoring.close(shard))

    await in_database(close)
    return await api.client.get("/v1/credits", headers=alice.headers)


def too_large(path: str) -> Ask:
    async def ask(api: Api, alice: Customer, settings: Any) -> httpx.Response:
        settings.MAX_BODY_BYTES = 10
        return await post(api, alice, path)

    return ask


def no_json(path: str) -> Ask:
    return lambda api, alice, settings: post(
        api, alice, path, content=b"<a/>", json=None, headers={"Content-Type": "text/xml"}
    )


ANSWERS: dict[str, tuple[int, Ask]] = {
    "whole": (200, lambda api, alice, settings: post(api, alice)),
    "whole by default": (200, lambda api, alice, settings: api.chat(alice)),
    "streamed": (200, lambda api, alice, settings: api.chat(alice, stream=True)),
    "replayed": (200, replayed),
    "no key": (401, lambda api, alice, settings: api.client.get("/v1/models")),
    "frozen": (403, frozen),
    "no model": (404, lambda api, alice, settings: api.chat(alice, model="none")),
    "reused key": (409, reused),
    "chat too large": (413, too_large(CHAT)),
    "estimate too large": (413, too_large("/v1/estimate")),
    "checkout too large": (413, too_large("/v1/checkout")),
    "chat in XML": (415, no_json(CHAT)),
    "estimate in XML": (415, no_json("/v1/estimate")),
    "checkout in XML": (415, no_json("/v1/checkout")),
    "out of balance": (429, lambda api, alice, settings: api.chat(alice, max_tokens=999_999)),
    "too fast": (429, too_fast),
    "read too fast": (429, read_too_fast),
    "recovering": (503, recovering),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_schema_names_each_status_and_header(
    api: Api, alice: Customer, settings: Any, client: Client, name: str
) -> None:
    status, ask = ANSWERS[name]
    schema = (await in_database(client.get, "/api/schema/")).json()

    answer = await ask(api, alice, settings)

    request = answer.request
    operation = schema["paths"][request.url.path][request.method.lower()]
    assert answer.status_code == status
    assert str(status) in operation["responses"]
    described = operation["responses"][str(status)].get("headers", {})
    required = {each.lower() for each, rules in described.items() if rules.get("required")}
    named = {each.lower() for each in described}
    assert {"x-request-id", "openai-processing-ms"} <= required <= set(answer.headers)
    assert set(answer.headers) - OF_HTTP <= named


async def test_the_schema_names_the_idempotency_key_of_what_calls_a_model(
    api: Api, client: Client
) -> None:
    paths = (await in_database(client.get, "/api/schema/")).json()["paths"]

    naming = {
        path
        for path, operations in paths.items()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "Idempotency-Key" and parameter["in"] == "header"
    }

    assert naming == {CHAT, "/v1/completions", "/v1/embeddings", "/v1/responses"}
