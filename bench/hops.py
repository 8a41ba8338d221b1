"""What one request passes through: `python -m bench.hops`.

Counts the functions and modules of the product that a JSON chat and a stream enter between the
ASGI application and the answer, with their cost in CPU. `--list` names them, in order.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import orjson

from bench.services import own_services

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = tuple(f"{ROOT / name}{os.sep}" for name in ("tokenproxy_site", "proxy", "billing"))
UPSTREAM_KEY = "sk-hops"
EMAIL = "hops@example.com"
# Caches are filled, and connections opened, by these.
WARM_UP = 200
# The cheapest of these counts: whatever else the machine does only adds to it.
BATCHES = 5
JSON_CHAT = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 16}
REQUESTS = {"JSON chat": JSON_CHAT, "stream": JSON_CHAT | {"stream": True}}


class Hops:
    """The product's functions that were entered, in order, each once."""

    def __init__(self) -> None:
        self.entered: dict[CodeType, int] = {}

    def __enter__(self) -> "Hops":
        sys.setprofile(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        # Lambdas and comprehensions are lines of the function that they stand in.
        if event == "call" and code.co_filename.startswith(PRODUCT) and code.co_name[0] != "<":
            self.entered[code] = self.entered.get(code, 0) + 1

    @property
    def modules(self) -> set[str]:
        """The files that they are in."""
        return {code.co_filename for code in self.entered}

    def lines(self) -> Iterator[str]:
        """Say each: its file and its name."""
        for code in self.entered:
            yield f"  {Path(code.co_filename).relative_to(ROOT)}: {code.co_qualname}"


@contextmanager
def upstream() -> Iterator[str]:
    """Run the upstream emulator, and give its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.upstream", "--port", "0", "--api-key", UPSTREAM_KEY],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split("http://")[1].split()[0].removesuffix("/v1")
    finally:
        process.terminate()
        process.wait()


def set_up(address: str) -> str:
    """Sell gpt-4 to a customer with a million credits, and return the secret of a key."""
    from accounts.models import User
    from accounts.teams.members import own_seat
    from billing.keys.api_keys import issue_api_key
    from billing.ledger.wallets import grant_credits, limit_wallet, wallet_of
    from billing.upkeep.recovery import recover
    from proxy.upstreams.providers.setup import set_up_provider

    recover()
    set_up_provider(
        "hops",
        base_url=f"http://{address}/v1",
        secret=UPSTREAM_KEY,
        models={"gpt-4": "gpt-4"},
        has_default_price=True,
    )
    user = User.objects.create_user(EMAIL)
    grant_credits(wallet_of(user), credits=1_000_000, reason="to be measured")
    limit_wallet(
        wallet_of(user),
        requests_per_minute=1_000_000,
        tokens_per_minute=1_000_000_000,
        concurrent_requests=None,
    )
    key, secret = issue_api_key(own_seat(user), name="hops")
    type(key).objects.filter(pk=key.pk).update(
        requests_per_minute=1_000_000, tokens_per_minute=1_000_000_000
    )
    return secret


@asynccontextmanager
async def living(application: Any) -> AsyncIterator[None]:
    """Begin the application's lifespan, and end it."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(application({"type": "lifespan"}, inbox.get, told.put))
    await inbox.put({"type": "lifespan.startup"})
    await told.get()
    yield
    await inbox.put({"type": "lifespan.shutdown"})
    await life


async def ask(application: Any, secret: str, body: dict[str, Any]) -> bytes:
    """Send one request, and return its answer. Raises RuntimeError if it is no 200."""
    raw = orjson.dumps(body)
    headers = [
        (b"authorization", f"Bearer {secret}".encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(raw)).encode()),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 5_000),
        "server": ("127.0.0.1", 8_000),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    sent = [{"type": "http.request", "body": raw}]
    gone = asyncio.Event()
    answer: list[Any] = []

    async def receive() -> dict[str, Any]:
        if sent:
            return sent.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answer.append(message)

    await application(scope, receive, send)
    body_bytes = b"".join(message.get("body", b"") for message in answer)
    if not answer or answer[0].get("status") != 200:
        raise RuntimeError(f"the request was not served: {body_bytes!r}")
    return body_bytes


async def cpu_ms(application: Any, secret: str, body: dict[str, Any], *, requests: int) -> float:
    """Return what a request of a batch takes of the processor."""
    started = time.process_time()
    for _ in range(requests):
        await ask(application, secret, body)
    return (time.process_time() - started) * 1_000 / requests


async def measure(secret: str, *, requests: int, is_listed: bool) -> None:
    """Print the hops of each kind of request, and its CPU."""
    from django.core.asgi import get_asgi_application

    from tokenproxy_site.application import Application

    application = Application(get_asgi_application())
    async with living(application):
        for name, body in REQUESTS.items():
            for _ in range(WARM_UP):
                await ask(application, secret, body)
            with Hops() as hops:
                await ask(application, secret, body)
            spent_ms = min(
                [await cpu_ms(application, secret, body, requests=requests) for _ in range(BATCHES)]
            )
            print(
                f"{name}: {len(hops.entered)} functions in {len(hops.modules)} modules, "
                f"{sum(hops.entered.values())} calls, {spent_ms:.2f} ms of CPU"
            )
            if is_listed:
                print(*hops.lines(), sep="\n")


def main() -> None:
    """Run from a shell."""
    parser = argparse.ArgumentParser(prog="python -m bench.hops", description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="in each of five batches")
    parser.add_argument("--list", action="store_true", help="name what is passed, in order")
    given = parser.parse_args()
    os.environ["ALLOW_LOOPBACK_PROVIDERS"] = "true"
    # Nobody books here.
    os.environ["WALLET_BACKLOG_AGE_S"] = "3600"
    with own_services(is_durable=False), upstream() as address:
        secret = set_up(address)
        asyncio.run(measure(secret, requests=given.requests, is_listed=given.list))


if __name__ == "__main__":
    main()
