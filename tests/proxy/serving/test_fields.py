"""What of a request reaches which upstream, and what the client learns of it."""

from typing import Any

import httpx
import orjson

from proxy.database import in_database
from proxy.models import Provider
from tests.proxy.conftest import NO_TLS, Api, Customer, assert_envelope
from tests.proxy.upstreams.first_provider import add_first

IGNORED = "x-tokenproxy-ignored-fields"
EXTRAS: dict[str, Any] = {"top_k": 5, "min_p": 0.1, "of_tomorrow": {"x": 1}}


async def sent(api: Api) -> list[dict[str, Any]]:
    """The parameters of each request that the upstream got."""
    async with httpx.AsyncClient(verify=NO_TLS) as client:
        listed = await client.get(f"{api.upstream.url}/control/requests")
    return [orjson.loads(line)["parameters"] for line in listed.text.splitlines()]


def take(provider: str, **fields: Any) -> None:
    Provider.objects.filter(name=provider).update(**fields)


async def test_it_tells_the_client_what_the_upstream_did_not_get(api: Api, alice: Customer) -> None:
    whole = await api.chat(alice, **EXTRAS)
    stream = await api.chat(alice, **EXTRAS, stream=True)
    plain = await api.chat(alice)

    assert whole.headers[IGNORED] == stream.headers[IGNORED] == "of_tomorrow"
    assert IGNORED not in plain.headers
    for parameters in (await sent(api))[:2]:
        assert (parameters["top_k"], parameters["min_p"]) == (5, 0.1)
        assert "of_tomorrow" not in parameters


async def test_an_agents_request_is_served_without_what_it_does_not_need(
    api: Api, alice: Customer
) -> None:
    """As Codex CLI 0.171 sends it, cut to one of each kind."""
    tool = {"type": "function", "name": "wait_agent", "strict": False, "parameters": {}}
    body: dict[str, Any] = {
        "input": [
            {"type": "message", "id": "msg_1", "role": "developer", "content": "Be brief."},
            {
                "type": "message",
                "id": "msg_2",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hi"}],
            },
        ],
        "tools": [
            tool | {"name": "exec_command"},
            {"type": "namespace", "name": "agents", "description": "Agents.", "tools": [tool]},
            {"type": "web_search", "external_web_access": False},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"summary": "auto"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "thread",
        "client_metadata": {"installation": "x"},
    }

    answer = await api.ask(alice, "responses", stream=True, **body)

    assert answer.status_code == 200
    assert answer.headers[IGNORED].split(", ") == ["tools.web_search", "client_metadata"]
    [parameters] = await sent(api)
    assert [one["type"] for one in parameters["tools"]] == ["function", "namespace"]
    assert parameters["prompt_cache_key"] != "thread"
    assert "client_metadata" not in parameters


async def test_each_provider_gets_what_it_takes(api: Api, alice: Customer) -> None:
    await in_database(add_first, api.upstream, "fault-500")
    await in_database(lambda: take("first", request_extras=["min_p"]))
    await in_database(lambda: take("sandbox", request_extras=["of_tomorrow"]))
    await api.runtime.catalogue.refresh()

    answer = await api.chat(alice, **EXTRAS)

    first, second = await sent(api)
    assert set(EXTRAS) & first.keys() == {"min_p"}
    assert set(EXTRAS) & second.keys() == {"of_tomorrow"}
    # The one that answered.
    assert answer.headers[IGNORED] == "top_k, min_p"


async def test_a_refused_field_takes_no_hold(api: Api, alice: Customer) -> None:
    answer = await api.chat(alice, user_config={"model_list": []})

    assert answer.status_code == 400
    assert_envelope(answer, code="unsupported_parameter")
    assert await sent(api) == []
    assert (await alice.balance()).held_credits == 0


async def test_images_at_an_address_go_only_where_they_are_taken(api: Api, alice: Customer) -> None:
    await in_database(add_first, api.upstream, "gpt-4o")
    await in_database(lambda: take("first", takes_data_urls_only=True))
    await api.runtime.catalogue.refresh()
    image = {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}
    messages = [{"role": "user", "content": [image]}]

    taken = await api.chat(alice, messages=messages, max_tokens=5)
    await api.limit_providers(takes_data_urls_only=True)
    refused = await api.chat(alice, messages=messages, max_tokens=5)
    estimated = await api.client.post(
        "/v1/estimate", headers=alice.headers, json={"model": "gpt-4", "messages": messages}
    )

    assert taken.status_code == 200
    record = await alice.record()
    assert record is not None
    assert record.provider_name == "sandbox"
    for answer in (refused, estimated):
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "messages[0].content[0].image_url"
        assert "data URL" in assert_envelope(answer)
