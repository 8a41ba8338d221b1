"""A web process of its own: uvicorn with the site's application, as it is deployed."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from django.db import connection

from tests.proxy.conftest import Customer


@dataclass
class WebProcess:
    """uvicorn with the site's application, as it is deployed."""

    process: asyncio.subprocess.Process
    base_url: str

    @asynccontextmanager
    async def stream(self, customer: Customer, prompt: str) -> AsyncIterator[httpx.Response]:
        body = {
            "model": "gpt-4",
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
            "max_tokens": 500,
        }
        async with (
            httpx.AsyncClient(base_url=self.base_url, timeout=30) as client,
            client.stream(
                "POST", "/v1/chat/completions", headers=customer.headers, json=body
            ) as response,
        ):
            yield response


@asynccontextmanager
async def start_web(*, role: str = "", **settings: str) -> AsyncIterator[WebProcess]:
    """Start one. With a role, it dies of the orders in the folder that CHAOS_ORDERS names."""
    listener = socket.create_server(("127.0.0.1", 0))
    database = connection.settings_dict
    environment = {
        **os.environ,
        "DATABASE_URL": "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database),
        "ALLOW_LOOPBACK_PROVIDERS": "1",
        "LOG_LEVEL": "WARNING",
        **settings,
    }
    port = listener.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *(("-m", "bench.chaos.victim", role) if role else ("-m",))),
        *("uvicorn", "tokenproxy_site.asgi:application"),
        *("--fd", str(listener.fileno()), "--no-access-log", "--log-level", "warning"),
        *("--no-proxy-headers", "--http", "proxy.http.protocol:BoundedProtocol"),
        env=environment,
        pass_fds=[listener.fileno()],
        # A victim kills its whole session.
        start_new_session=True,
    )
    listener.close()
    web = WebProcess(process, f"http://127.0.0.1:{port}")
    try:
        yield web
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
