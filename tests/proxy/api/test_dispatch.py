"""The contract of every path: errors in one envelope, headers on every answer."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from accounts.secrets import make_secret
from billing.keys.api_keys import revoke_api_key
from billing.models import Pack, PublicModel
from proxy.database import in_database
from proxy.models import Provider, Route
from proxy.parsing.chat import ChatRequest
from tests.proxy.conftest import HELLO, Api, Customer, assert_envelope

CHAT = "/v1/chat/completions"


async def send(api: Api, customer: Customer, body: bytes, **headers: str) -> httpx.Response:
    return await api.client.post(
        CHAT,
        headers={**customer.headers, "content-type": "application/json", **headers},
        content=body,
    )


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer",
        "Basic dXNlcjpwYXNz",
        "Bearer tp_live_typo",
        "Bearer ключ".encode(),
        f"Bearer {make_secret().text}",
        f"Bearer {make_secret().text[:-1]}!",
    ],
    ids=["none", "empty", "basic", "short", "not ascii", "unknown", "typo"],
)
async def test_it_refuses_a_request_without_a_usable_key(
    api: Api, authorization: str | bytes | None
) -> None:
    headers: Any = {} if authorization is None else {"Authorization": authorization}

    response = await api.client.post(CHAT, headers=headers, json={})

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert_envelope(response, code="invalid_api_key")


async def test_it_refuses_a_revoked_key_at_once(api: Api, alice: Customer) -> None:
    before = await api.chat(alice)
    await in_database(revoke_api_key, alice.key)

    after = await api.chat(alice)

    assert before.status_code == 200
    assert after.status_code == 401
    assert_envelope(after, code="invalid_api_key")


async def test_it_refuses_the_key_of_a_person_who_was_switched_off(
    api: Api, alice: Customer
) -> None:
    alice.user.is_active = False
    await in_database(alice.user.save)

    response = await api.chat(alice)

    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/v1/chat/completions/", "/v1/%ff"])
async def test_it_answers_404_in_the_envelope(api: Api, alice: Customer, path: str) -> None:
    response = await api.client.post(path, headers={**alice.headers, "accept": "text/html"})

    assert response.status_code == 404
    assert_envelope(response, code="not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", CHAT, "POST, OPTIONS"), ("PUT", CHAT, "POST, OPTIONS"), ("POST", "/v1/models", "GET")],
)
async def test_it_answers_405_and_names_what_is_allowed(
    api: Api, alice: Customer, method: str, path: str, allowed: str
) -> None:
    response = await api.client.request(method, path, headers=alice.headers)

    assert response.status_code == 405
    assert response.headers["allow"].startswith(allowed)
    assert_envelope(response, code="method_not_allowed")


async def test_it_answers_head_as_get_but_for_the_body(api: Api, alice: Customer) -> None:
    for path, headers in (("/v1/models", alice.headers), ("/v1/models", {}), ("/v1/credits", {})):
        whole = await api.client.get(path, headers=headers)
        head = await api.client.head(path, headers=headers)

        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers["content-length"] == str(len(whole.content)) != "0"


async def test_it_refuses_a_body_over_the_limit(api: Api, alice: Customer, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 1_024

    response = await send(api, alice, b'{"model": "' + b"x" * 1_024 + b'"}')

    assert response.status_code == 413
    assert_envelope(response, code="payload_too_large")


async def test_it_refuses_a_body_over_the_limit_that_hides_its_length(
    api: Api, alice: Customer, settings: Any
) -> None:
    settings.MAX_BODY_BYTES = 1_024

    async def chunks() -> Any:
        for _ in range(4):
            yield b"x" * 512

    response = await api.client.post(CHAT, headers=alice.headers, content=chunks())

    assert response.status_code == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"content-encoding": "gzip"},
    ],
)
async def test_it_refuses_what_is_not_plain_json(
    api: Api, alice: Customer, headers: dict[str, str]
) -> None:
    response = await send(api, alice, b"{}", **headers)

    assert response.status_code == 415
    assert_envelope(response, code="unsupported_media_type")


async def test_it_takes_a_chunked_body(api: Api, alice: Customer) -> None:
    async def chunks() -> Any:
        yield b'{"model": "gpt-4", '
        yield b'"messages": [{"role": "user", "content": "Hello!"}]}'

    response = await api.client.post(
        CHAT, headers={**alice.headers, "content-type": "application/json"}, content=chunks()
    )

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", "model"),
        (b"{}", "model"),
        (b"[]", None),
        (b"{", None),
        (b'{"model": "gpt-4", "model": "gpt-4"}', "model"),
        (b'{"model": "gpt-4"}', "messages"),
        (b'{"model": "gpt-4", "messages": []}', "messages"),
        (b'{"model": "gpt-4", "messages": [{"role": "user", "content": 1}]}', None),
    ],
)
async def test_it_refuses_a_bad_body_and_holds_nothing(
    api: Api, alice: Customer, body: bytes, param: str | None
) -> None:
    response = await send(api, alice, body)

    assert response.status_code == 400
    assert_envelope(response)
    assert param is None or response.json()["error"]["param"] == param
    assert (await alice.balance()).available_credits == 10_000


@pytest.mark.parametrize("extra", [{"api_base": "http://x"}, {"n": True}, {"max_tokens": 10**8}])
async def test_it_names_the_parameter_at_fault(
    api: Api, alice: Customer, extra: dict[str, Any]
) -> None:
    response = await api.chat(alice, **extra)

    assert response.status_code == 400
    assert response.json()["error"]["param"] == next(iter(extra))


async def test_it_does_not_know_a_model_that_is_not_on_sale(api: Api, alice: Customer) -> None:
    response = await api.chat(alice, "gpt-99")

    assert response.status_code == 404
    assert_envelope(response, code="model_not_found")
    assert (await alice.balance()).available_credits == 10_000


async def test_it_hides_a_defect_of_ours_behind_a_500(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(payload: dict[str, Any]) -> ChatRequest:
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr(ChatRequest, "parse", fail)

    response = await api.chat(alice)

    assert response.status_code == 500
    assert "secret" not in assert_envelope(response)


async def test_it_tells_how_long_it_took_and_which_request_it_was(
    api: Api, alice: Customer
) -> None:
    response = await api.chat(alice)

    assert response.headers["openai-processing-ms"].isdigit()
    assert response.headers["x-request-id"].startswith("req_")


async def test_it_lists_the_models_that_can_be_called(api: Api, alice: Customer) -> None:
    await api.sell("acme/chat:free")
    await in_database(lambda: PublicModel.objects.create(name="unpriced"))
    await api.runtime.catalogue.refresh()

    response = await api.client.get("/v1/models", headers=alice.headers)

    models = response.json()
    assert models["object"] == "list"
    assert {model["id"] for model in models["data"]} == {"gpt-4", "acme/chat:free"}
    known, unknown = sorted(models["data"], key=lambda model: -len(model["id"]))[::-1]
    assert known.items() >= {"context_length": 8_192, "default_max_tokens": 4_096}.items()
    assert (known["default_temperature"], unknown["context_length"]) == (0.7, None)


async def test_it_tells_prices_in_credits_and_in_dollars_of_the_dearest_pack(
    api: Api, alice: Customer
) -> None:
    def sell_packs() -> None:
        for slug, cents, currency in (("a", 900, "usd"), ("b", 400, "usd"), ("c", 9_000, "eur")):
            Pack.objects.create(
                name=slug, slug=slug, credits=1_000_000, price_cents=cents, currency=currency
            )

    before = (await api.client.get("/v1/models/gpt-4", headers=alice.headers)).json()
    await in_database(sell_packs)
    await api.runtime.catalogue.refresh()

    told = (await api.client.get("/v1/models/gpt-4", headers=alice.headers)).json()

    # 1 credit for each token; a million credits cost $9.
    rates = told["tokenproxy"]["credits_per_million_tokens"]
    assert (rates["prompt"], rates["cached_prompt"]) == (1_000_000, 1_000_000)
    assert (rates["completion"], rates["reasoning"]) == (1_000_000, 1_000_000)
    assert "pricing" not in before
    assert told["pricing"] == {
        "prompt": "0.000009",
        "completion": "0.000009",
        "input_cache_read": "0.000009",
        "input_cache_write": "0.000009",
        "internal_reasoning": "0.000009",
    }


async def test_it_tells_which_parameters_reach_a_model(api: Api, alice: Customer) -> None:
    def take_top_k() -> None:
        Provider.objects.update(request_extras=["top_k", "user_config"])

    before = (await api.client.get("/v1/models/gpt-4", headers=alice.headers)).json()
    await in_database(take_top_k)
    await api.runtime.catalogue.refresh()

    told = (await api.client.get("/v1/models/gpt-4", headers=alice.headers)).json()

    assert {"tools", "temperature", "max_tokens", "seed"} <= set(before["supported_parameters"])
    assert {"messages", "model", "web_search_options", "user_config"}.isdisjoint(
        told["supported_parameters"]
    )
    assert "top_k" in told["supported_parameters"]


async def test_it_tells_what_a_model_can_do_as_the_models_page_does(
    api: Api, alice: Customer
) -> None:
    def enter() -> None:
        PublicModel.objects.update(abilities=["images", "json"], is_reasoning=True)

    before = (await api.client.get("/v1/models/gpt-4", headers=alice.headers)).json()
    await in_database(enter)
    await api.runtime.catalogue.refresh()

    told = (await api.client.get("/v1/models/gpt-4", headers=alice.headers)).json()

    # It is known of gpt-4 by name that it calls tools.
    assert before["tokenproxy"]["abilities"] == ["tools"]
    assert before["architecture"]["modality"] == "text->text"
    assert told["tokenproxy"]["abilities"] == ["images", "json", "reasoning"]
    assert told["architecture"] == {
        "modality": "text+image->text",
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
    }
    assert told["top_provider"] == {"context_length": 8_192}
    assert "structured_outputs" in told["supported_parameters"]
    assert "tools" not in told["supported_parameters"]


async def test_it_tells_that_a_model_only_embeds(api: Api, alice: Customer) -> None:
    await in_database(lambda: Route.objects.update(endpoints=["embeddings"]))
    await api.runtime.catalogue.refresh()

    told = (await api.client.get("/v1/models/gpt-4", headers=alice.headers)).json()

    assert told["architecture"]["modality"] == "text->embeddings"
    assert told["supported_parameters"] == []


async def test_it_describes_a_model_with_slashes_and_colons(api: Api, alice: Customer) -> None:
    await api.sell("acme/chat:free")

    response = await api.client.get("/v1/models/acme/chat:free", headers=alice.headers)

    assert response.json()["id"] == "acme/chat:free"


async def test_it_knows_a_model_as_soon_as_it_is_sold(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.upstreams.catalogue.LEAST_AGE_S", 0)
    await in_database(lambda: PublicModel.objects.filter(name="gpt-4").update(name="gpt-5"))

    response = await api.chat(alice, "gpt-5")

    assert response.status_code == 200


async def test_it_tells_the_balance(api: Api, alice: Customer) -> None:
    response = await api.client.get("/v1/credits", headers=alice.headers)

    team = {"id": str(alice.key.team.public_id), "name": alice.user.email}
    assert response.json() == {
        "available_credits": 10_000,
        "held_credits": 0,
        "posted_credits": 10_000,
        "debt_credits": 0,
        "team": team,
    }


async def test_it_tells_the_team_of_a_key(api: Api, alice: Customer) -> None:
    told = (await api.client.get("/v1/key", headers=alice.headers)).json()["team"]

    assert told == {"id": str(alice.key.team.public_id), "name": alice.user.email}


async def test_it_shows_each_customer_their_own_balance(
    api: Api, alice: Customer, make_customer: Callable[..., Customer]
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=77)

    response = await api.client.get("/v1/credits", headers=bob.headers)

    assert response.json()["available_credits"] == 77


async def test_it_sends_a_default_temperature_and_the_clients_own_fields(
    api: Api, alice: Customer
) -> None:
    await api.chat(alice, seed=7)

    async with httpx.AsyncClient() as client:
        listed = await client.get(f"{api.upstream.url}/control/requests")
    requests = listed.text.splitlines()
    assert '"temperature":0.7' in requests[0]
    assert '"seed":7' in requests[0]
    assert HELLO[0]["content"] not in requests[0]
