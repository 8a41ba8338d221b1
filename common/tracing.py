"""Spans: how long the parts of a request took, and what belongs together.

A span costs a look at a variable until `trace_with` is called, which `tokenproxy_site/tracing.py`
does where TRACES_URL is set. Names and values are those that a line of the log may have: ids, names
and codes of ours and numbers.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

NOTHING: "AbstractContextManager[Span | None]" = nullcontext()

_tracer: "Tracer | None" = None
_read_caller: "Callable[[str], Context] | None" = None


def trace_with(
    tracer: "Tracer | None", read_caller: "Callable[[str], Context] | None" = None
) -> None:
    """Make spans with this from now on, within those of callers that are read so; None ends it."""
    global _tracer, _read_caller  # one for the process, and the quickest to look at
    _tracer, _read_caller = tracer, read_caller


def span(name: str, *, caller: str = "", **values: Any) -> "AbstractContextManager[Span | None]":
    """Open a span around a block, within the span in which it runs. Gives None without a tracer.

    `caller` is the `traceparent` of whoever called this process, and may be malformed. Of an
    exception that leaves the block nothing is told: its message may be anybody's.
    """
    if _tracer is None:
        return NOTHING
    return _tracer.start_as_current_span(
        name,
        context=_read_caller(caller) if caller and _read_caller else None,
        attributes=values,
        record_exception=False,
        set_status_on_exception=False,
    )


def add_values(found: "Span | None", values: dict[str, Any]) -> None:
    """Add values to a span, if there is one."""
    if found is not None:
        found.set_attributes({name: value for name, value in values.items() if value is not None})
