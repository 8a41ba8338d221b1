"""Pages of other sites may call the API with a key, and only the API."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.api.schema_headers import OF_CALLING_A_MODEL, OF_EVERY_ANSWER
from proxy.database import in_database
from proxy.http.cors import DEFAULT_HEADERS, EXPOSED
from tests.proxy.conftest import Api, Customer

ORIGIN = {"origin": "https://elsewhere.example"}


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/models", "/v1/models/a/b", "/v1/nothing", "/v1"]
)
async def test_a_browser_may_ask_of_any_path_without_a_key(api: Api, path: str) -> None:
    asked = "authorization, content-type, x-stainless-os"

    response = await api.client.options(
        path,
        headers=ORIGIN
        | {"access-control-request-method": "POST", "access-control-request-headers": asked},
    )

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-headers"] == asked
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("asked", ["", "a\tb", "x" * 2_001, 'a"b', "é".encode().decode("latin-1")])
async def test_it_repeats_nothing_but_names_of_headers(api: Api, asked: str) -> None:
    response = await api.client.options(
        "/v1/models",
        headers=[(b"access-control-request-headers", asked.encode("latin-1"))],
    )

    assert response.headers["access-control-allow-headers"] == DEFAULT_HEADERS


async def test_a_page_may_read_every_answer(api: Api, alice: Customer, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 1_024
    stream = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    answers = [
        await api.chat(alice),
        await api.client.post("/v1/chat/completions", headers=alice.headers, json=stream),
        await api.client.get("/v1/models"),
        await api.client.get("/v1/nothing", headers=alice.headers),
        await api.chat(alice, model="x" * 2_000),
        await api.chat(alice, messages=[]),
        await api.client.put("/v1/models", headers=alice.headers),
    ]

    assert [one.status_code for one in answers] == [200, 200, 401, 404, 413, 400, 405]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert "set-cookie" not in answer.headers
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        ours = {name for name in answer.headers if name.startswith(("x-", "openai-", "retry"))}
        assert ours - {"x-accel-buffering"} <= set(exposed)


def test_every_header_of_the_schema_can_be_read() -> None:
    described = [*OF_EVERY_ANSWER, *OF_CALLING_A_MODEL]
    named = {each.name.lower() for each in described if each.response}

    assert named <= set(EXPOSED)


async def test_pages_and_cookies_stay_closed(
    api: Api, client: Any, make_customer: Callable[..., Customer]
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=1)
    await in_database(client.force_login, bob.user)

    for path in ("/", "/dashboard/", "/docs/", "/api/schema/"):
        page = await in_database(client.get, path, headers=ORIGIN)
        asked = await in_database(client.options, path, headers=ORIGIN)

        for answer in (page, asked):
            assert not [name for name in answer.headers if name.lower().startswith("access-")]
