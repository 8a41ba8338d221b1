"""The whole site on a port of its own, without the lifespan that the API needs."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from django.core.asgi import get_asgi_application

from proxy.http.protocol import BoundedProtocol
from tests.proxy.conftest import Server
from tokenproxy_site.application import Application


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """Serve the whole site, and give its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    application = Application(get_asgi_application())
    config = uvicorn.Config(
        application, http=BoundedProtocol, lifespan="off", access_log=False, log_config=None
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.stop()
    await serving
