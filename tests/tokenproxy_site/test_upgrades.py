"""What is neither a request nor a lifespan: nothing is served over it, and nothing breaks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from logging import StreamHandler, getLogger
from typing import Any

import pytest

from tests.tokenproxy_site.server import served
from tokenproxy_site.application import Application

PATHS = ["/", "/v1/chat/completions", "/v1", "/dashboard/", "/admin/", "/healthz", "/nowhere"]
AUTHORIZATIONS = {"nobody": "", "a key": "Authorization: Bearer tp_live_something\r\n"}


@contextmanager
def logged() -> Iterator[StringIO]:
    """Give what the server logs meanwhile."""
    text = StringIO()
    handler = StreamHandler(text)
    logger = getLogger("uvicorn.error")
    logger.addHandler(handler)
    yield text
    logger.removeHandler(handler)


async def upgrade(port: int, path: str, authorization: str) -> str:
    """Ask for a WebSocket as a browser does, and return the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer.decode()


@pytest.mark.parametrize("who", AUTHORIZATIONS)
async def test_a_websocket_is_refused_before_it_is_accepted(who: str) -> None:
    with logged() as log:
        async with served() as port:
            answers = [await upgrade(port, path, AUTHORIZATIONS[who]) for path in PATHS]

    assert [answer.splitlines()[0] for answer in answers] == ["HTTP/1.1 403 Forbidden"] * len(PATHS)
    assert "Traceback" not in log.getvalue()


async def test_a_kind_that_nobody_knows_is_refused_by_its_name() -> None:
    async def unheard(*message: Any) -> Any:
        raise AssertionError("nothing is read of it, and nothing is sent")

    with pytest.raises(ValueError, match="nothing is served over 'webtransport'"):
        await Application(unheard)({"type": "webtransport", "path": "/"}, unheard, unheard)
