"""Streams as a client of the proxy reads them, or leaves them."""

from typing import Any

import orjson

from tests.proxy.conftest import Api, Customer

SLOWLY = [{"role": "user", "content": "[[tokens=400]] [[tps=20]]"}]


def read_events(body: bytes) -> list[Any]:
    """Return the payloads of a stream, the end marker as text."""
    data = [event.removeprefix(b"data: ") for event in body.split(b"\n\n") if event]
    return ["[DONE]" if item == b"[DONE]" else orjson.loads(item) for item in data]


def text_of(events: list[Any]) -> str:
    chunks = [event for event in events if event != "[DONE]" and event.get("choices")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


async def hang_up_after(api: Api, customer: Customer, *, events: int, model: str = "gpt-4") -> str:
    """Open a slow stream, leave it after some events, and return its request id."""
    body = {"model": model, "messages": SLOWLY, "stream": True, "max_tokens": 500}
    async with api.client.stream(
        "POST", "/v1/chat/completions", headers=customer.headers, json=body
    ) as response:
        seen = b""
        async for chunk in response.aiter_raw():
            seen += chunk
            if seen.count(b"\n\n") >= events:
                break
    return str(response.headers["x-request-id"])
