"""Spans: a call and its upstream are one trace, and nothing in it is a customer's or a secret."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from common.tracing import NOTHING, span, trace_with
from tests.proxy.canned import json_answer, serve_canned
from tests.proxy.conftest import Api, Customer
from tests.tokenproxy_site.collector import Collector, collecting
from tokenproxy_site.tracing import start_tracing

TRACEPARENT = re.compile(rb"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-0[13]\r\n", re.IGNORECASE)
ANSWER = json_answer(
    200,
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "It is a secret."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 8, "completion_tokens": 4, "total_tokens": 12},
    },
)


class Traced:
    """What a collector was sent."""

    def __init__(self, collector: Collector, provider: TracerProvider) -> None:
        self.collector = collector
        self.provider = provider

    def spans(self) -> dict[str, Any]:
        """Return the spans by name, once all are sent."""
        assert self.provider.force_flush()
        return {
            each.name: each
            for heard in self.collector.heard
            for resource in ExportTraceServiceRequest.FromString(heard).resource_spans
            for scope in resource.scope_spans
            for each in scope.spans
        }


@pytest.fixture
def traced() -> Iterator[Traced]:
    with collecting() as collector:
        url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
        provider = start_tracing(url, percent=100)
        yield Traced(collector, provider)
        trace_with(None)
        provider.shutdown()


async def test_a_call_and_its_upstream_are_one_trace(
    traced: Traced, api: Api, alice: Customer
) -> None:
    async with serve_canned(ANSWER) as canned:
        await api.send_to(canned.base_url)
        answer = await api.chat(alice)
        await api.idle()

    assert answer.status_code == 200
    spans = traced.spans()
    request, upstream = spans["api request"], spans["upstream"]
    assert (upstream.trace_id, upstream.parent_span_id) == (request.trace_id, request.span_id)
    values = {each.key: each.value for each in request.attributes}
    assert values["status"].int_value == 200
    assert values["model"].string_value == "gpt-4"


async def test_a_trace_has_no_prompt_answer_key_or_address(
    traced: Traced, api: Api, alice: Customer
) -> None:
    async with serve_canned(ANSWER) as canned:
        await api.send_to(canned.base_url)
        await api.chat(alice, messages=[{"role": "user", "content": "Tell me a secret"}])
        await api.idle()

    assert traced.spans()
    heard = b"".join(traced.collector.heard)
    for never in ("secret", alice.secret, "alice@", "127.0.0.1"):
        assert never.encode() not in heard


@pytest.mark.parametrize("is_told", [False, True])
async def test_an_upstream_learns_of_the_trace_only_if_told_to(
    traced: Traced, api: Api, alice: Customer, settings: Any, is_told: bool
) -> None:
    settings.TRACES_TO_UPSTREAMS = is_told
    async with serve_canned(ANSWER) as canned:
        await api.send_to(canned.base_url)
        await api.chat(alice)
        await api.idle()

    found = TRACEPARENT.search(canned.requests[0])
    upstream = traced.spans()["upstream"]
    ids = found and (bytes.fromhex(found[1].decode()), bytes.fromhex(found[2].decode()))
    assert ids == ((upstream.trace_id, upstream.span_id) if is_told else None)
    assert (b"traceparent" in canned.requests[0].lower()) == is_told


def test_without_a_collector_a_span_is_nothing() -> None:
    assert span("anything") is NOTHING
