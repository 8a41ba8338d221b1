"""The meter of a response's stream: what is relayed, what is counted, how it ends."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import UpstreamUnavailable
from proxy.metering.answers import FAILED, meter_response
from proxy.metering.encodings import encoding_for
from proxy.metering.responses import ResponseMeter
from proxy.metering.shapes import Label
from proxy.metering.usage import Source, Usage

O200K = encoding_for("gpt-4o")
REPORT = {
    "input_tokens": 8,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 11,
}
REPORTED = Usage(8, 3, cached_tokens=2, reasoning_tokens=1)
ERROR = UpstreamUnavailable()
LABEL = Label("gpt-4o", "req_1")


def event(kind: str, number: int, **fields: Any) -> bytes:
    payload = {"type": kind, "sequence_number": number} | fields
    return f"event: {kind}\n".encode() + b"data: " + orjson.dumps(payload) + b"\n\n"


def delta(text: str, number: int = 5, kind: str = "output_text", **fields: Any) -> bytes:
    return event(f"response.{kind}.delta", number, output_index=0, delta=text, **fields)


def response(status: str, **fields: Any) -> dict[str, Any]:
    own = {"id": "resp_1", "object": "response", "created_at": 7, "model": "gpt-4o-0806"}
    return own | {"status": status, "metadata": {}, "output": []} | fields


def end(kind: str = "completed", **fields: Any) -> bytes:
    return event(f"response.{kind}", 9, response=response(kind, usage=REPORT) | fields)


def public(raw: bytes) -> bytes:
    return raw.replace(b'"model":"gpt-4o-0806"', b'"model":"gpt-4o"')


def meter() -> ResponseMeter:
    return ResponseMeter(encoding=O200K, label=LABEL)


def usage_of(metered: ResponseMeter) -> Usage:
    return metered.usage(prompt_tokens=8, max_completion_tokens=100)


OPENING = event("response.created", 0, response=response("in_progress"))
HELLO = [OPENING, delta("Hello", 1), delta(" there", 2), delta(".", 3)]


@pytest.mark.parametrize("kind", ["completed", "incomplete"])
def test_it_relays_all_and_holds_the_last_event_back(kind: str) -> None:
    metered = meter()

    relayed = b"".join(map(metered.feed, [*HELLO, end(kind)]))

    assert relayed == public(b"".join(HELLO))
    assert metered.has_ended
    assert metered.is_complete
    assert usage_of(metered) == REPORTED
    closing = orjson.loads(metered.closing(usage_of(metered)).partition(b"data: ")[2])
    assert closing == orjson.loads(public(end(kind)).partition(b"data: ")[2]) | {
        "sequence_number": 4
    }


@given(st.lists(st.integers(0, 2000)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_it_relays_the_same_at_any_split(cuts: list[int], line_end: bytes) -> None:
    stream = b"".join([*HELLO, b": ping\n\n", delta("\u2028"), end()]).replace(b"\n", line_end)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    whole, split = meter(), meter()

    expected = whole.feed(stream) + whole.flush()

    assert b"".join(map(split.feed, pieces)) + split.flush() == expected
    assert usage_of(split) == usage_of(whole) == REPORTED
    assert split.events_relayed == whole.events_relayed == 5


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_it_relays_the_same_split_at_every_single_place(kind: str, line_end: bytes) -> None:
    stream = b"".join([*HELLO, b": ping\n\n", end(kind)]).replace(b"\n", line_end)
    whole = meter()
    expected = whole.feed(stream) + whole.flush()

    for at in range(1, len(stream)):
        split = meter()
        relayed = split.feed(stream[:at]) + split.feed(stream[at:]) + split.flush()
        assert relayed == expected, at
        assert (split.is_complete, str(split.error)) == (whole.is_complete, str(whole.error)), at
        assert usage_of(split) == usage_of(whole), at


def test_it_relays_the_same_at_every_single_byte() -> None:
    stream = b"".join([*HELLO, end()])
    for cut in range(len(stream)):
        metered = meter()

        relayed = metered.feed(stream[:cut]) + metered.feed(stream[cut:])

        assert relayed == public(b"".join(HELLO))
        assert usage_of(metered) == REPORTED


@pytest.mark.parametrize("usage", [None, {}])
def test_it_counts_for_itself_and_says_so_in_the_last_event(usage: object) -> None:
    metered = meter()
    for chunk in [*HELLO, end(usage=usage)]:
        metered.feed(chunk)

    counted = usage_of(metered)

    closing = orjson.loads(metered.closing(counted).partition(b"data: ")[2])
    assert counted == Usage(8, 3, source=Source.ESTIMATED)
    assert closing["response"]["usage"] == counted.as_response_usage()
    assert closing["response"]["model"] == "gpt-4o"


def test_it_counts_the_whole_output_where_no_piece_of_it_came() -> None:
    parts = [{"type": "output_text", "text": "Hello there."}]
    output = [{"type": "message", "content": parts}]
    metered = meter()

    metered.feed(OPENING + end(usage=None, output=output))

    assert metered.estimate(prompt_tokens=8).completion_tokens == 3


def test_it_counts_all_that_a_model_writes_once() -> None:
    metered = meter()
    item = {"type": "function_call", "name": "add", "arguments": ""}
    for chunk in [
        delta("Hello"),
        event("response.output_text.done", 6, output_index=0, text="Hello"),
        event("response.content_part.done", 6, part={"text": "Hello"}),
        event("response.output_item.added", 6, output_index=1, item=item),
        event("response.function_call_arguments.delta", 7, output_index=1, delta="Hello"),
        event("response.refusal.delta", 7, output_index=2, delta="Hello"),
        event("response.reasoning_summary_text.delta", 7, output_index=3, delta="Hello"),
    ]:
        metered.feed(chunk)

    usage = usage_of(metered)

    assert (usage.completion_tokens, usage.reasoning_tokens) == (5, 1)


def test_it_tells_of_a_failure_without_the_upstreams_reason() -> None:
    reason = {"code": "server_error", "message": "org-canary is over its quota"}
    metered = meter()
    relayed = b"".join(map(metered.feed, [*HELLO, end("failed", error=reason, usage=None)]))

    failing = metered.failing(ERROR)

    assert relayed == public(b"".join(HELLO))
    assert not metered.is_complete
    assert metered.has_text
    assert b"canary" not in failing
    assert orjson.loads(failing.partition(b"data: ")[2])["response"]["error"]["message"] == FAILED


def test_a_failure_is_charged_only_if_text_of_it_was_delivered() -> None:
    empty, begun = meter(), meter()
    empty.feed(OPENING + end("failed"))
    begun.feed(OPENING + delta("Hello") + end("failed"))

    assert not empty.has_text
    assert begun.has_text
    assert usage_of(begun) == REPORTED


def test_it_ends_a_broken_stream_with_the_next_number() -> None:
    metered = meter()
    metered.feed(b"".join(HELLO))

    failing = orjson.loads(metered.failing(ERROR).partition(b"data: ")[2])

    assert metered.failing(ERROR).startswith(b"event: error\n")
    assert (failing["type"], failing["sequence_number"]) == ("error", 4)
    assert set(failing) == {"type", "code", "message", "param", "sequence_number", "error"}
    assert usage_of(metered) == Usage(8, 3, source=Source.ESTIMATED)


@pytest.mark.parametrize(
    "told",
    [
        b'event: error\ndata: {"type":"error","message":"org-canary"}\n\n',
        b'data: {"type":"error","message":"org-canary"}\n\n',
        b'event: response.completed\ndata: {"type":"response.completed"}\n\n',
    ],
)
def test_it_keeps_the_upstreams_error_to_itself(told: bytes) -> None:
    metered = meter()

    relayed = metered.feed(b"".join(HELLO) + told + delta("more"))

    assert relayed == public(b"".join(HELLO))
    assert metered.has_ended
    assert not metered.is_complete
    assert b"canary" not in metered.failing(ERROR)


def test_it_knows_events_that_have_their_kind_in_the_payload_alone() -> None:
    bare = [chunk.partition(b"\n")[2] for chunk in [*HELLO, end()]]
    metered = meter()

    relayed = b"".join(map(metered.feed, bare))

    assert relayed.count(b'"delta"') == 3
    assert metered.is_complete
    assert usage_of(metered) == REPORTED


def test_it_passes_on_no_marker_and_no_comment() -> None:
    metered = meter()

    assert metered.feed(b"data: [DONE]\n\n: SOME-UPSTREAM\n\n") == b""
    assert not metered.has_ended


@given(st.binary(max_size=200))
def test_it_survives_any_bytes(noise: bytes) -> None:
    metered = meter()

    metered.feed(b"".join(HELLO) + b"event: response.x\ndata: " + noise + b"\n\n")
    metered.flush()

    assert metered.estimate(prompt_tokens=8).completion_tokens >= 3
    assert metered.failing(ERROR).endswith(b"\n\n")


JSON = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["response", "output", "content", "text", "usage", "model", "error"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
KINDS = ["created", "completed", "failed", "output_text.delta", "output_item.added"]


@given(st.sampled_from(KINDS), JSON)
def test_it_survives_any_shape(kind: str, value: Any) -> None:
    metered = meter()

    metered.feed(event(f"response.{kind}", 1, response=value, item=value, delta=value))

    usage = metered.estimate(prompt_tokens=8)
    assert usage.completion_tokens >= 0
    assert (metered.closing(usage) if metered.is_complete else metered.failing(ERROR)).endswith(
        b"\n\n"
    )


def test_it_meters_a_whole_response() -> None:
    body = orjson.dumps(response("completed", usage=REPORT))

    metered = meter_response(body, encoding=O200K, label=LABEL)

    assert orjson.loads(metered.write(REPORTED)) == orjson.loads(public(body))
    assert metered.usage(prompt_tokens=99, max_completion_tokens=3) == REPORTED


@pytest.mark.parametrize(
    "payload",
    [
        b'{"model":"a","response":{"model":"b"',
        b'{"model":"a","other":{"model":"b"}}',
        b'{"model":"a","other":{"model":"b"},"response":null}',
    ],
)
def test_an_opening_without_a_response_breaks_the_stream_and_nothing_else(payload: bytes) -> None:
    metered = meter()

    relayed = metered.feed(b"event: response.created\ndata: " + payload + b"\n\n")

    assert relayed == b""
    assert metered.has_ended
    assert not metered.is_complete
