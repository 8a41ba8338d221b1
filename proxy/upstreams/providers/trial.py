"""Send a test request through a route like a customer's, but without a hold or a charge."""

import asyncio
from dataclasses import dataclass

from proxy.errors import NotTried, UpstreamRefused
from proxy.models import Provider, Route
from proxy.upstreams.client import UpstreamClient
from proxy.upstreams.loading import to_key, to_route, to_upstream
from proxy.upstreams.providers.tiny import Tiny, ask_tiny
from proxy.upstreams.routes import UpstreamKey, UpstreamRoute

# Short, because a person waits for the result.
PATIENCE_S = 60.0
MAX_SHOWN_CHARS = 200


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
    tiny = await ask_tiny(client, route, key, patience_s=PATIENCE_S, what_for="trial")
    status: int | None = 200
    words = _describe(tiny)
    if isinstance(tiny.error, UpstreamRefused):
        status, words = tiny.error.status, str(tiny.error.error.get("message") or "")
    elif tiny.error is not None:
        status, words = None, str(tiny.error)
    words = words.replace(key.secret, "…")[:MAX_SHOWN_CHARS]
    return Trial(route.upstream_model, hint, tiny.endpoint, status, tiny.latency_ms, words)


def _describe(tiny: Tiny) -> str:
    """Describe the usage that an answer reports."""
    if not tiny.is_json:
        return "The answer is not JSON."
    if tiny.usage is None:
        return "No usage is reported."
    used = tiny.usage
    return f"It reports {used.prompt_tokens} prompt and {used.completion_tokens} completion tokens."
