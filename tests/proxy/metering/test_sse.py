from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import EventTooLarge, InsufficientQuota
from proxy.metering.sse import Event, Splitter, error_event

GOLDEN = {
    "openai": (
        b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'
        b'data: {"choices":[{"delta":{"content":"lo"}}]}\n\n'
        b"data: [DONE]\n\n"
    ),
    "crlf": b"data: 1\r\n\r\nevent: error\r\ndata: 2\r\ndata: lines\r\n\r\ndata: [DONE]\r\n\r\n",
    "cr": b"data: one\r\rdata: two\r\r: a comment\r\r",
    "mixed": b"data: one\n\r\ndata: two\r\n\ndata: three\r\n\rdata: four\n\n\n\ndata: five\n\n",
    "separators": "data: a\u2028b\u2029c\u0085d\x0b\x0c\x1ce\n\n: ping\n\ndata: ö\n\n".encode(),
    "unfinished": b"\xef\xbb\xbfdata: first\n\ndata: cut in the mid",
}


def split(*chunks: bytes) -> list[Event]:
    splitter = Splitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events + splitter.flush()


@pytest.mark.parametrize("stream", GOLDEN.values(), ids=GOLDEN)
def test_it_gives_the_same_events_at_every_split(stream: bytes) -> None:
    whole = split(stream)

    for middle in range(len(stream) + 1):
        assert split(stream[:middle], stream[middle:]) == whole
    assert split(*(stream[i : i + 1] for i in range(len(stream)))) == whole
    assert b"".join(event.raw for event in whole) == stream


@given(
    pieces=st.lists(
        st.sampled_from(
            [b"data: x", b"data", b":", b"\n", b"\r", b"\r\n", b"\n\n", b"\xe2\x80\xa8"]
        )
    ),
    cuts=st.lists(st.integers(0, 200)),
)
def test_it_gives_the_same_events_for_any_bytes_and_cuts(
    pieces: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(pieces)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]

    chunks = [stream[a:b] for a, b in pairwise(places)]

    assert split(*chunks) == split(stream)
    assert b"".join(event.raw for event in split(*chunks)) == stream


def test_it_gives_every_event_of_a_chunk_at_once() -> None:
    assert Splitter().feed(b"data: 1\n\ndata: 2\n\ndata: 3") == [
        Event(b"data: 1\n\n"),
        Event(b"data: 2\n\n"),
    ]


def test_it_does_not_wait_when_an_event_is_whole() -> None:
    assert Splitter().feed(b"data: 1\r\n\r\n") == [Event(b"data: 1\r\n\r\n")]


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data::)\n\n", b":)"),
        (b"data:  x\n\n", b" x"),
        (b"data\n\n", b""),
        (b"data: x\r\n\r\n", b"x"),
        (b"data: x\rdata: y\r\r", b"x\ny"),
        (b"data: x\ry\n\n", b"x"),
        (b"id: 7\nevent: message\ndata: x\n: note\ndata: y\n\n", b"x\ny"),
        (b"\xef\xbb\xbfdata: x\n\n", b"x"),
        (b"database: x\n\n", None),
        (b": ping\n\n", None),
        (b"\n\n", None),
    ],
)
def test_it_reads_the_payload_as_the_standard_says(raw: bytes, data: bytes | None) -> None:
    assert Event(raw).data == data


def test_it_knows_the_end_marker() -> None:
    assert Event(b"data: [DONE]\n\n").is_done
    assert Event(b"data:[DONE]").is_done
    assert not Event(b'data: {"content":"[DONE]"}\n\n').is_done
    assert not Event(b": [DONE]\n\n").is_done


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_it_refuses_an_endless_event_and_keeps_those_before_it(size: int) -> None:
    stream = b"data: 1\n\ndata: " + b"x" * 200
    splitter = Splitter(max_event_bytes=100)
    pieces = (stream[start : start + size] for start in range(0, len(stream), size))
    events: list[Event] = []

    with pytest.raises(EventTooLarge, match="longer than 100 bytes") as refusal:
        events.extend(event for piece in pieces for event in splitter.feed(piece))

    assert [*(event.raw for event in events), *refusal.value.events] == [b"data: 1\n\n"]


def test_it_takes_an_event_of_exactly_the_limit() -> None:
    stream = b"data: " + b"x" * 92 + b"\n\n"

    assert Splitter(max_event_bytes=100).feed(stream) == [Event(stream)]


def test_it_writes_errors_that_sdks_raise_on() -> None:
    raw = error_event(InsufficientQuota("Out of tokens."))

    assert raw == (
        b'data: {"error":{"message":"Out of tokens.","type":"insufficient_quota",'
        b'"param":null,"code":"insufficient_quota"}}\n\n'
    )
