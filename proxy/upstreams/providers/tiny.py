"""One tiny request through a route like a customer's, but without a hold or a charge."""

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson

from billing.catalogue.pricing import Usage
from proxy.errors import UpstreamError, UpstreamTimedOut
from proxy.parsing.endpoints import ENDPOINTS
from proxy.upstreams.client import UpstreamClient
from proxy.upstreams.routes import UpstreamKey, UpstreamRoute

MAX_ANSWER_BYTES = 1024 * 1024
# The responses endpoint accepts no maximum below 16.
MOST_COMPLETION_TOKENS = 16
# Far above what the words below are counted as, with what providers put around them.
MOST_PROMPT_TOKENS = 100
# Nothing beyond it is a count of a request as tiny as this.
MOST_BELIEVED = 1_000_000
BODIES: dict[str, dict[str, Any]] = {
    "chat.completions": {
        "messages": [{"role": "user", "content": "Say OK."}],
        "max_tokens": MOST_COMPLETION_TOKENS,
    },
    "completions": {"prompt": "Say OK.", "max_tokens": MOST_COMPLETION_TOKENS},
    "embeddings": {"input": "OK"},
    "responses": {"input": "Say OK.", "max_output_tokens": MOST_COMPLETION_TOKENS},
}


@dataclass(frozen=True, slots=True)
class Tiny:
    """How a tiny request went. Without `error`, it was answered."""

    endpoint: str
    latency_ms: int
    error: UpstreamError | None = None
    # What the answer reports; None if that is not known.
    usage: Usage | None = None
    is_json: bool = False


async def ask_tiny(
    client: UpstreamClient,
    route: UpstreamRoute,
    key: UpstreamKey,
    *,
    patience_s: float,
    what_for: str,
) -> Tiny:
    """Ask for a few tokens on the first endpoint that a route serves."""
    endpoint = next(name for name in ENDPOINTS if not route.endpoints or name in route.endpoints)
    body = orjson.dumps({"model": route.upstream_model, **BODIES[endpoint]})
    began_at = time.monotonic()
    # The answer comes in one piece, which has no other time limit.
    patience_s = min(patience_s, route.upstream.total_timeout_s)
    error: UpstreamError | None = None
    content = b""
    try:
        async with asyncio.timeout(patience_s):
            answer = await client.post(
                route.upstream,
                f"/{endpoint.replace('.', '/')}",
                route.adaptation.apply(body),
                secret=key.secret,
                request_id=f"{what_for}-{uuid.uuid4().hex}",
            )
            try:
                content = await answer.read(MAX_ANSWER_BYTES)
            finally:
                await answer.close()
    except UpstreamError as failure:
        error = failure
    except TimeoutError:
        error = UpstreamTimedOut(f"Gave up after {patience_s:.0f} s.")
    latency_ms = int((time.monotonic() - began_at) * 1_000)
    usage, is_json = _read(content)
    return Tiny(endpoint, latency_ms, error, usage, is_json)


def _read(content: bytes) -> tuple[Usage | None, bool]:
    """Return the usage that an answer reports, and whether it is JSON at all."""
    try:
        usage = orjson.loads(content).get("usage")
    except (orjson.JSONDecodeError, AttributeError):
        return None, False
    if not isinstance(usage, dict):
        return None, True
    # The responses endpoint has its own names.
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    completion = usage.get("completion_tokens", usage.get("output_tokens", 0))
    if not (_is_count(prompt) and _is_count(completion)):
        return None, True
    return Usage(prompt, completion), True


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MOST_BELIEVED
