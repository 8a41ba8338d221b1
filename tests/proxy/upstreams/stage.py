"""Upstreams and routes as tests need them, without a database."""

from itertools import count
from typing import Any

from proxy.upstreams.routes import Upstream, UpstreamKey, UpstreamRoute

# Far from what a database gives.
_ids = count(1_000_000)


def make_key(secret: str = "secret", **fields: Any) -> UpstreamKey:
    return UpstreamKey(next(_ids), secret, secret[::-1].encode(), **fields)


def make_upstream(name: str = "acme", *, keys: Any = None, **fields: Any) -> Upstream:
    values = {
        "base_url": "https://example.com",
        "bills_after_cancel": False,
        "connect_timeout_s": 1,
        "first_byte_timeout_s": 1,
        "idle_timeout_s": 1,
        "total_timeout_s": 1,
        **fields,
    }
    return Upstream(id=next(_ids), name=name, keys=tuple(keys or [make_key()]), **values)


def make_route(
    upstream: Upstream | None = None, upstream_model: str = "model", **fields: Any
) -> UpstreamRoute:
    return UpstreamRoute(next(_ids), upstream or make_upstream(), upstream_model, **fields)
