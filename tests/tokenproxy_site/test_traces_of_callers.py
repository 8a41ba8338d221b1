"""A request joins the trace of the proxy before us, if it is one that is believed."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from pytest_django import Settings

from common.tracing import trace_with
from tests.linked import linked
from tests.tokenproxy_site.collector import Collector, collecting
from tokenproxy_site.application import Application
from tokenproxy_site.tracing import start_tracing

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def collector() -> Iterator[tuple[Collector, TracerProvider]]:
    with collecting() as collector:
        url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
        provider = start_tracing(url, percent=100)
        yield collector, provider
        trace_with(None)
        provider.shutdown()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Serve a page, for want of a site."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    """Drop what a client would read."""


@pytest.mark.parametrize(
    ("headers", "trusted", "joins"),
    [
        ([CALLER], ["127.0.0.0/8"], True),
        ([CALLER], [], False),
        ([CALLER], ["10.0.0.0/8"], False),
        ([CALLER, CALLER], ["127.0.0.0/8"], False),
        ([f"{CALLER}, {CALLER}"], ["127.0.0.0/8"], False),
        ([CALLER.replace("0af", "xyz")], ["127.0.0.0/8"], False),
        ([f"00-{'0' * 32}-{SPAN}-01"], ["127.0.0.0/8"], False),
        (["x" * 4_000], ["127.0.0.0/8"], False),
        (["\xff"], ["127.0.0.0/8"], False),
        ([""], ["127.0.0.0/8"], False),
        ([], ["127.0.0.0/8"], False),
    ],
)
async def test_a_request_joins_the_trace_of_a_trusted_proxy_alone(
    collector: tuple[Collector, TracerProvider],
    settings: Settings,
    headers: list[str],
    trusted: list[str],
    *,
    joins: bool,
) -> None:
    settings.TRUSTED_PROXIES = [ip_network(network) for network in trusted]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "client": ("127.0.0.1", 40_000),
        "headers": [(b"traceparent", header.encode("latin-1")) for header in headers],
    }

    await linked(Application(answer))(scope, receive, send)

    heard, provider = collector
    assert provider.force_flush()
    [sent] = [ExportTraceServiceRequest.FromString(body) for body in heard.heard]
    [found] = sent.resource_spans[0].scope_spans[0].spans
    assert (found.trace_id.hex() == TRACE) is joins
    assert found.parent_span_id.hex() == (SPAN if joins else "")
