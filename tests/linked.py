"""Requests that a test makes by hand, with the link that our server's protocol gives each."""

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from proxy.http.link import LINK, Link


def linked(application: Any) -> Any:
    """Return an application whose requests have a link, of a client that never leaves."""

    async def with_link(scope: Any, receive: Any, send: Any) -> None:
        link = Link(asyncio.Event(), FlowControl(asyncio.Transport()))
        await application({**scope, LINK: link}, receive, send)

    return with_link
