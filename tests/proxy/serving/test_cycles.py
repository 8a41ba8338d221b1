"""A request leaves nothing in memory that only Python's search for cycles would find."""

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.proxy.conftest import HELLO, Api, Customer

# A customer's wallet, which the tests ask for, is Django's and no request's.
OURS = ("proxy.", "rest_framework.", "uvicorn.", "aiohttp.")
REQUESTS = 5

Send = Callable[[Api, Customer], Awaitable[httpx.Response]]


@contextmanager
def keeping_cycles() -> Iterator[list[object]]:
    """Yield what a collection finds at the end of the block: what nobody else holds."""
    # What was left before is no business of the block's.
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def chat(api: Api, customer: Customer) -> httpx.Response:
    return await api.chat(customer)


async def stream(api: Api, customer: Customer) -> httpx.Response:
    return await api.chat(customer, stream=True)


async def refused(api: Api, customer: Customer) -> httpx.Response:
    return await api.chat(customer, model="unheard-of")


async def unknown_key(api: Api, customer: Customer) -> httpx.Response:
    body = {"model": "gpt-4", "messages": HELLO}
    return await api.client.post(
        "/v1/chat/completions", headers={"authorization": "Bearer sk-none"}, json=body
    )


async def models(api: Api, customer: Customer) -> httpx.Response:
    return await api.client.get("/v1/models", headers=customer.headers)


@pytest.mark.parametrize(
    ("send", "status"),
    [(chat, 200), (stream, 200), (refused, 404), (unknown_key, 401), (models, 200)],
)
async def test_a_request_leaves_no_cycles(
    api: Api, alice: Customer, send: Send, status: int
) -> None:
    # What is made once is not a request's.
    await send(api, alice)
    await api.idle()

    with keeping_cycles() as found:
        for _ in range(REQUESTS):
            assert (await send(api, alice)).status_code == status
        await api.idle()
        gc.collect()
        kinds = [f"{type(each).__module__}.{type(each).__qualname__}" for each in found]

    assert [kind for kind in kinds if kind.startswith(OURS)] == []
