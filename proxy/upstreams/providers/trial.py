"""Send a test request through a route like a customer's, but without a hold or a charge."""

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from proxy.errors import NotTried, UpstreamError, UpstreamRefused
from proxy.models import Provider, Route
from proxy.parsing.endpoints import ENDPOINTS
from proxy.upstreams.client import UpstreamClient
from proxy.upstreams.loading import to_key, to_route, to_upstream
from proxy.upstreams.routes import UpstreamKey, UpstreamRoute

# Short, because a person waits for the result.
PATIENCE_S = 60.0
MAX_ANSWER_BYTES = 1024 * 1024
MAX_SHOWN_CHARS = 200
# The responses endpoint accepts no maximum below 16.
BODIES: dict[str, dict[str, Any]] = {
    "chat.completions": {"messages": [{"role": "user", "content": "Say OK."}], "max_tokens": 16},
    "completions": {"prompt": "Say OK.", "max_tokens": 16},
    "embeddings": {"input": "OK"},
    "responses": {"input": "Say OK.", "max_output_tokens": 16},
}


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one test. `words` are the upstream's own, for staff only."""

    route: str
    key: str
    endpoint: str
    status: int | None
    latency_ms: int
    words: str

    @property
    def is_good(self) -> bool:
        return self.status == 200

    def __str__(self) -> str:
        status = self.status or "no answer"
        return (
            f"{self.route} with key …{self.key}, {self.endpoint}: {status}"
            f" in {self.latency_ms:,} ms. {self.words}"
        )


def try_route(row: Route) -> list[Trial]:
    """Send a tiny request through a route with each of its usable keys. Raises NotTried."""
    keys = row.provider.keys.filter(is_active=True).order_by("ejected_at", "priority", "pk")
    upstream = to_upstream(row.provider, [found for key in keys if (found := to_key(key))])
    route = to_route(row, upstream) if upstream else None
    if route is None:
        raise NotTried("Its address or its rules are not allowed; the log says why.")
    if not route.upstream.keys:
        raise NotTried("The provider has no key that is switched on and was entered for its host.")
    return asyncio.run(_try_all(route, {key.pk: key.hint for key in keys}))


def try_provider(provider: Provider) -> list[Trial]:
    """Try a provider's first active route. Raises NotTried."""
    row = provider.routes.filter(is_active=True).select_related("provider", "model").first()
    if row is None:
        raise NotTried("No active route leads to it.")
    return try_route(row)


async def _try_all(route: UpstreamRoute, hints: dict[int, str]) -> list[Trial]:
    keys = route.upstream.keys
    client = await UpstreamClient.connect(max_connections=len(keys))
    try:
        return [await _try(client, route, hints[key.id], key) for key in keys]
    finally:
        await client.close()


async def _try(client: UpstreamClient, route: UpstreamRoute, hint: str, key: UpstreamKey) -> Trial:
    endpoint = next(name for name in ENDPOINTS if not route.endpoints or name in route.endpoints)
    body = orjson.dumps({"model": route.upstream_model, **BODIES[endpoint]})
    began_at = time.monotonic()
    # The answer comes in one piece, which has no other time limit.
    patience_s = min(PATIENCE_S, route.upstream.total_timeout_s)
    status, words = None, f"Gave up after {patience_s:.0f} s."
    try:
        async with asyncio.timeout(patience_s):
            answer = await client.post(
                route.upstream,
                f"/{endpoint.replace('.', '/')}",
                route.adaptation.apply(body),
                secret=key.secret,
                request_id=f"trial-{uuid.uuid4().hex}",
            )
            try:
                status, words = 200, _describe(await answer.read(MAX_ANSWER_BYTES))
            finally:
                await answer.close()
    except UpstreamRefused as error:
        status, words = error.status, str(error.error.get("message") or "")
    except UpstreamError as error:
        status, words = None, str(error)
    except TimeoutError:
        pass
    latency_ms = int((time.monotonic() - began_at) * 1_000)
    words = words.replace(key.secret, "…")[:MAX_SHOWN_CHARS]
    return Trial(route.upstream_model, hint, endpoint, status, latency_ms, words)


def _describe(body: bytes) -> str:
    """Describe the usage that an answer reports."""
    try:
        usage = orjson.loads(body).get("usage")
    except (orjson.JSONDecodeError, AttributeError):
        return "The answer is not JSON."
    if not isinstance(usage, dict):
        return "No usage is reported."
    # The responses endpoint has its own names.
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    completion = usage.get("completion_tokens", usage.get("output_tokens", 0))
    return f"It reports {prompt} prompt and {completion} completion tokens."
