"""The API as its users meet it: a real server and socket, real wallets, a sandbox upstream."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.ledger.balances import read_balance
from billing.ledger.pushes import push_if_possible
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import UsageRecord
from billing.upkeep.drain import drain
from billing.wallet.commands.figures import Balance
from billing.wallet.sync_client import SyncWalletClient
from common.request_lines import request_line
from proxy.api.handler import ApiHandler
from proxy.database import in_database
from proxy.http.protocol import BoundedProtocol
from proxy.models import Provider, ProviderKey
from proxy.parsing.origins import origin_of
from proxy.serving.runtime import Runtime
from proxy.upstreams.providers.setup import set_up_provider

# Every address here is plain: reading the authorities takes a client 17 ms.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
UPSTREAM_KEY = "sk-canary-upstream-key-000"
ADMIN_KEY = "sk-admin-canary-0123456789abcdef-ADMN"
HELLO = [{"role": "user", "content": "Hello!"}]
PATHS = {
    "chat.completions": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "responses": "/v1/responses",
}
SHORT: dict[str, dict[str, Any]] = {
    "chat.completions": {"messages": HELLO, "max_tokens": 30},
    "completions": {"prompt": "Hello!", "max_tokens": 30},
    "embeddings": {"input": "Hello!"},
    "responses": {"input": "Hello!", "max_output_tokens": 30},
}


async def until(condition: Callable[[], object]) -> None:
    """Wait for a state of which nobody tells."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.01)


class Sandbox:
    """The upstream emulator: where it is, and what it counted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = f"{url}/v1"

    def reset(self) -> None:
        httpx.post(f"{self.url}/control/reset", verify=NO_TLS).raise_for_status()

    async def await_open(self) -> None:
        """Wait until a request is being answered."""
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            while True:
                if (await client.get(f"{self.url}/control/tally")).json()["totals"]["open"]:
                    return
                # It is another process: there is no event to wait for.
                await asyncio.sleep(0.02)

    async def served(self, request_id: str | None = None) -> dict[str, int]:
        """Sum up what was served, once everything has ended."""
        params = {"request_id": request_id} if request_id else {}
        async with httpx.AsyncClient(verify=NO_TLS) as client, asyncio.timeout(5):
            while True:
                tally = (await client.get(f"{self.url}/control/tally", params=params)).json()
                if not tally["totals"]["open"]:
                    totals: dict[str, int] = tally["totals"]
                    return totals
                # It is another process: there is no event to wait for.
                await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    """Run the upstream emulator for the whole session."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sandbox.upstream", "--port", "0", "--api-key", UPSTREAM_KEY),
            *("--admin-key", ADMIN_KEY),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    yield Sandbox(line[line.index("http://") :].split()[0].removesuffix("/v1"))
    process.terminate()
    process.wait(timeout=10)
    process.stdout.close()


@pytest.fixture
def upstream(sandbox_process: Sandbox) -> Sandbox:
    """A sandbox that has served nothing yet."""
    sandbox_process.reset()
    return sandbox_process


@pytest.fixture
def wallets(transactional_db: None, redis_wallets: SyncWalletClient) -> None:
    """Wallets in Redis: empty, and open for use; tables that other threads can read."""


@dataclass
class Customer:
    """A person with a key, and what is known of the balance."""

    user: User
    key: ApiKey
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    async def balance(self) -> Balance:
        return await in_database(self._balance)

    async def record(self) -> UsageRecord | None:
        """Book what waits, and return the only usage record, if there is one."""
        return await in_database(self._record)

    async def receipt(self, request_id: str) -> UsageRecord | None:
        """Book what waits, and return the record of one request, if there is one."""
        return await in_database(lambda: self._receipt(request_id))

    def _receipt(self, request_id: str) -> UsageRecord | None:
        drain()
        return UsageRecord.objects.filter(
            wallet__team__person=self.user, request_id=request_id
        ).first()

    def _balance(self) -> Balance:
        return read_balance(wallet_of(self.user))

    def _record(self) -> UsageRecord | None:
        drain()
        records = list(UsageRecord.objects.filter(wallet__team__person=self.user))
        assert len(records) < 2
        return records[0] if records else None


@pytest.fixture
def make_customer(wallets: None) -> Callable[..., Customer]:
    """Make people with a key and credits."""

    def make(email: str, *, credits: int) -> Customer:
        user = User.objects.create_user(email)
        if credits:
            grant_credits(wallet_of(user), credits=credits, reason="a test")
        key, secret = issue_api_key(own_seat(user), name="test")
        push_if_possible(wallet_of(user).pk)
        return Customer(user, key, secret)

    return make


@pytest.fixture
def alice(make_customer: Callable[..., Customer]) -> Customer:
    """Alice has 10,000 credits and a key."""
    return make_customer("alice@example.com", credits=10_000)


def sell(upstream: Sandbox, *names: str, provider: str = "sandbox") -> None:
    """Sell models at one credit per prompt and completion token, served by the sandbox."""
    set_up_provider(
        provider,
        base_url=upstream.base_url,
        secret=UPSTREAM_KEY,
        models={name: name for name in names},
        has_default_price=True,
    )


@pytest.fixture
def gpt_4(settings: Any, wallets: None, upstream: Sandbox) -> None:
    """Sell gpt-4."""
    settings.ALLOW_LOOPBACK_PROVIDERS = True
    sell(upstream, "gpt-4")


@pytest.fixture
async def runtime(gpt_4: None, journal_dir: Path) -> AsyncIterator[Runtime]:
    """What a web process shares, with gpt-4 on sale."""
    runtime = await Runtime.start()
    yield runtime
    await runtime.stop()


class Server(uvicorn.Server):
    """uvicorn in the test's own event loop; signals stay the test run's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._is_told = asyncio.Event()

    def capture_signals(self) -> Any:
        return nullcontext()

    async def main_loop(self) -> None:
        """Wait to be told, where uvicorn looks every 0.1 s."""
        await self.on_tick(0)
        await self._is_told.wait()

    def stop(self) -> None:
        """Let `serve` end."""
        self.should_exit = True
        self._is_told.set()


def assert_envelope(response: httpx.Response, *, code: str | None = None) -> str:
    """Check that an error has OpenAI's shape, and return its message."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("req_")
    assert list(response.json()) == ["error"]
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert code is None or error["code"] == code
    message: str = error["message"]
    return message


@dataclass
class Api:
    """The API on a socket of its own."""

    base_url: str
    client: httpx.AsyncClient
    # Whose process serves what comes; a test may put another one here.
    runtime: Runtime
    upstream: Sandbox
    # Of every request that arrived.
    paths: list[str]

    async def sell(self, *names: str) -> None:
        """Sell more models of the sandbox, at one credit per token."""
        await in_database(sell, self.upstream, *names)
        await self.runtime.catalogue.refresh()

    async def limit_providers(self, **limits: Any) -> None:
        """Set fields of all providers."""
        await in_database(lambda: Provider.objects.update(**limits))
        await self.runtime.catalogue.refresh()

    async def send_to(self, base_url: str) -> None:
        """Send gpt-4 elsewhere, with keys that were entered for there."""
        await in_database(lambda: ProviderKey.objects.update(origin=origin_of(base_url)))
        await self.limit_providers(base_url=base_url)

    async def chat(self, customer: Customer, model: str = "gpt-4", **body: Any) -> httpx.Response:
        """Send a chat completion."""
        return await self.client.post(
            "/v1/chat/completions",
            headers=customer.headers,
            json={"model": model, "messages": HELLO, **body},
        )

    async def ask(
        self, customer: Customer, endpoint: str, model: str = "gpt-4", **body: Any
    ) -> httpx.Response:
        """Send a short request to any endpoint that calls a model."""
        return await self.client.post(
            PATHS[endpoint],
            headers=customer.headers,
            json={"model": model, **SHORT[endpoint], **body},
        )

    async def idle(self) -> None:
        """Wait until every request has ended, and its hold with it."""
        async with asyncio.timeout(10):
            await self.runtime.inflight.wait_empty()
            await self.runtime.settler.drain(5)


@pytest.fixture
async def api(runtime: Runtime, upstream: Sandbox) -> AsyncIterator[Api]:
    """Serve the API."""
    listener = socket.create_server(("127.0.0.1", 0))
    paths: list[str] = []
    handler = ApiHandler(lambda: served.runtime)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        paths.append(scope["path"])
        with request_line(scope, surface="api"):
            await handler(scope, receive, send)

    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=base_url, timeout=30, verify=NO_TLS) as client:
        served = Api(base_url, client, runtime, upstream, paths)
        yield served
    server.stop()
    await serving
