"""Traces by OpenTelemetry, where TRACES_URL is set: of requests, calls of providers, and sweeps."""

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common.tracing import trace_with

SERVICE = "tokenproxy"
PERCENT = 100


def start_tracing(url: str, *, percent: int) -> TracerProvider:
    """Send spans of so many of a hundred requests to a collector, in a thread of its own.

    Whoever serves is never held up: if the collector is away, spans are dropped.
    """
    provider = TracerProvider(
        # Not the usual one, which may have the command line of the process.
        resource=Resource({"service.name": SERVICE}),
        sampler=ParentBased(TraceIdRatioBased(percent / PERCENT)),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    trace_with(provider.get_tracer(SERVICE), read_caller)
    return provider


def read_caller(traceparent: str) -> Context:
    """Return the context of a caller's span; an empty one if the header is malformed."""
    carrier = {"traceparent": traceparent}
    return TraceContextTextMapPropagator().extract(carrier, Context())
