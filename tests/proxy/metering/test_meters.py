from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ImpossibleUsage, MalformedAnswer
from proxy.metering.answers import JsonAnswer, meter_completion
from proxy.metering.chunks import ChunkMeter
from proxy.metering.encodings import encoding_for
from proxy.metering.shapes import Label
from proxy.metering.streams import UNREAD_BYTES
from proxy.metering.usage import Source, Usage

O200K = encoding_for("gpt-4o")
DONE = b"data: [DONE]\n\n"
REPORT = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o"}
LABEL = Label("gpt-4o", "req_1")


def event(**fields: Any) -> bytes:
    return b"data: " + orjson.dumps(HEAD | fields) + b"\n\n"


def delta(
    text: str | None = None, *, index: int = 0, finish: str | None = None, **more: Any
) -> bytes:
    choice = {"index": index, "delta": {"content": text} | more, "finish_reason": finish}
    return event(choices=[choice], usage=None)


def final(usage: Any) -> bytes:
    return event(choices=[], usage=usage)


def told(usage: Usage) -> bytes:
    """The usage chunk that a client gets."""
    return final(usage.as_openai())


def bare(raw: bytes) -> bytes:
    """The same event as the official API sends it to those who don't ask for usage."""
    return raw.replace(b',"usage":null', b"")


def meter(*, wants_usage: bool = False, n: int = 1) -> ChunkMeter:
    return ChunkMeter(encoding=O200K, label=LABEL, wants_usage=wants_usage, n=n)


def usage_of(metered: ChunkMeter, *, prompt: int = 8, maximum: int | None = 100) -> Usage:
    return metered.usage(prompt_tokens=prompt, max_completion_tokens=maximum)


def chunks_of(relayed: bytes) -> list[dict[str, Any]]:
    events = relayed.removesuffix(DONE).split(b"\n\n")[:-1]
    return [orjson.loads(raw.removeprefix(b"data: ")) for raw in events]


HELLO = [delta(role="assistant"), delta("Hello"), delta(" there"), delta(".", finish="stop")]


def test_it_relays_what_was_not_about_usage() -> None:
    metered = meter()

    relayed = b"".join(map(metered.feed, [*HELLO, final(REPORT), DONE]))

    assert relayed == b"".join(map(bare, HELLO))
    assert metered.is_complete
    assert usage_of(metered) == Usage(8, 3)
    assert metered.closing(usage_of(metered)) == DONE


def test_it_gives_the_usage_chunk_to_those_who_asked() -> None:
    metered = meter(wants_usage=True)

    relayed = b"".join(map(metered.feed, [*HELLO, final(REPORT), DONE]))

    assert relayed == b"".join(HELLO)
    assert metered.closing(usage_of(metered)) == told(Usage(8, 3)) + DONE


@given(st.lists(st.integers(0, 2000)), st.booleans(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_it_relays_the_same_at_any_split(
    cuts: list[int], wants_usage: bool, line_end: bytes
) -> None:
    stream = b"".join([*HELLO, b": ping\n\n", delta("\u2028"), final(REPORT), DONE])
    stream = stream.replace(b"\n", line_end)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    whole, split = meter(wants_usage=wants_usage), meter(wants_usage=wants_usage)

    expected = whole.feed(stream) + whole.flush()

    assert b"".join(map(split.feed, pieces)) + split.flush() == expected
    assert usage_of(split) == usage_of(whole) == Usage(8, 3)
    assert split.events_relayed == whole.events_relayed == 5


# As upstreams send them: what each relays, and what is charged, must not depend on the network.
GOLDEN = {
    "usage apart": [*HELLO, b": ping\n\n", delta("\u2028"), final(REPORT), DONE],
    "usage with the last words": [delta("Hi"), event(choices=[], usage=None), final(REPORT), DONE],
    "no usage": [*HELLO, DONE],
    "an error": [delta("Hi"), b'data: {"error":{"message":"no"}}\n\n', DONE],
    "who served": [event(choices=[], provider="Acme"), delta('\\"'), final(REPORT), DONE],
    "a named event": [b"event: chunk\nid: 7\nretry: 9\n" + delta("Hi"), final(REPORT), DONE],
    "lines of data": [b'data: {"choices":\ndata: [{"delta":{"content":"Hi"}}]}\n\n', DONE],
    "broken escapes": [delta("Hi").replace(b"Hi", b"\\ud83d \\x"), final(REPORT), DONE],
    "no chunks": [b"data: null\n\ndata: []\n\ndata:\n\ndata: ping\n\n", DONE],
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize("kind", GOLDEN)
def test_it_relays_the_same_split_at_every_single_byte(
    kind: str, wants_usage: bool, line_end: bytes
) -> None:
    stream = b"".join(GOLDEN[kind]).replace(b"\n", line_end)
    whole = meter(wants_usage=wants_usage)
    expected = whole.feed(stream) + whole.flush()

    for at in range(1, len(stream)):
        split = meter(wants_usage=wants_usage)
        relayed = split.feed(stream[:at]) + split.feed(stream[at:]) + split.flush()
        assert relayed == expected, at
        assert (split.is_complete, str(split.error)) == (whole.is_complete, str(whole.error)), at
        assert usage_of(split) == usage_of(whole), at
    bytewise = meter(wants_usage=wants_usage)
    pieces = [bytewise.feed(stream[at : at + 1]) for at in range(len(stream))]
    assert b"".join(pieces) + bytewise.flush() == expected


def test_it_makes_the_usage_chunk_that_the_upstream_forgot() -> None:
    metered = meter(wants_usage=True)
    for chunk in [*HELLO, DONE]:
        metered.feed(chunk)

    usage = usage_of(metered)

    assert usage == Usage(8, 3, source=Source.ESTIMATED)
    assert chunks_of(metered.closing(usage)) == [HEAD | {"choices": [], "usage": usage.as_openai()}]


@pytest.mark.parametrize(("wants_usage", "shown"), [(True, {"usage": None}), (False, {})])
def test_usage_that_comes_with_the_last_words_is_told_once_and_only_if_asked_for(
    wants_usage: bool, shown: dict[str, None]
) -> None:
    metered = meter(wants_usage=wants_usage)
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

    relayed = b"".join(map(metered.feed, [delta("Hello"), event(**last, usage=REPORT), DONE]))
    closing = metered.closing(usage_of(metered))

    assert chunks_of(relayed)[1:] == [HEAD | last | shown]
    assert closing == (told(Usage(8, 3)) if wants_usage else b"") + DONE
    assert usage_of(metered).source is Source.REPORTED
    assert closing.endswith(DONE)


def test_it_sends_only_the_last_of_several_usage_chunks() -> None:
    metered = meter(wants_usage=True)
    interim = final(REPORT | {"completion_tokens": 1})

    relayed = b"".join(map(metered.feed, [interim, *HELLO, interim, final(REPORT), DONE]))

    assert relayed == b"".join(HELLO)
    assert metered.closing(usage_of(metered)) == told(Usage(8, 3)) + DONE


def test_an_event_without_choices_is_none() -> None:
    metered = meter()

    assert metered.feed(event(choices=[], prompt_filter_results=[{"prompt_index": 0}])) == b""
    assert metered.reported is None
    assert not metered.is_complete


def test_it_is_not_misled_by_what_the_answer_says() -> None:
    metered = meter()
    trap = delta('{"usage":{"prompt_tokens":0},"error":"x","usage":null} data: [DONE]')
    words = [delta("usage"), delta("error"), trap, delta(',"usage":null')]

    assert b"".join(map(metered.feed, words)) == b"".join(map(bare, words))
    assert chunks_of(bare(trap))[0]["choices"] == chunks_of(trap)[0]["choices"]
    assert metered.reported is None
    assert not metered.has_ended


def test_it_keeps_an_explicit_zero() -> None:
    metered = meter()
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    for chunk in [*HELLO, final(zero), DONE]:
        metered.feed(chunk)

    assert usage_of(metered) == Usage(0, 0)


def test_it_estimates_where_the_report_is_empty() -> None:
    metered = meter()
    for chunk in [*HELLO, final({}), DONE]:
        metered.feed(chunk)

    assert usage_of(metered) == Usage(8, 3, source=Source.ESTIMATED)


def test_it_refuses_impossible_usage_and_still_knows_what_was_delivered() -> None:
    metered = meter(wants_usage=True)
    for chunk in [*HELLO, final(REPORT | {"completion_tokens": 101, "total_tokens": 109}), DONE]:
        metered.feed(chunk)

    with pytest.raises(ImpossibleUsage, match="above the maximum of 100"):
        usage_of(metered)
    estimate = metered.estimate(prompt_tokens=8)

    assert estimate == Usage(8, 3, source=Source.ESTIMATED)
    assert chunks_of(metered.closing(estimate))[0]["usage"]["completion_tokens"] == 3


def test_it_charges_what_was_delivered_when_the_stream_is_cut() -> None:
    metered = meter()
    metered.feed(delta("Hello") + delta(" there") + delta(" friend")[:40])

    assert metered.flush() == b""
    assert not metered.is_complete
    assert usage_of(metered) == Usage(8, 2, source=Source.ESTIMATED)


def test_it_trusts_interim_usage_only_as_far_as_it_covers_what_was_delivered() -> None:
    def interim(completion: int) -> bytes:
        figures = {"prompt_tokens": 9, "completion_tokens": completion}
        return event(choices=[{"index": 0, "delta": {"content": " word"}}], usage=figures)

    behind, ahead = meter(), meter()
    for chunk in [interim(1), delta(" word"), delta(" word")]:
        behind.feed(chunk)
    for chunk in [interim(40), delta(" word")]:
        ahead.feed(chunk)

    assert usage_of(behind) == Usage(9, 3, source=Source.ESTIMATED)
    assert usage_of(ahead) == Usage(9, 40)


def test_it_takes_finished_choices_for_the_end_where_no_marker_comes() -> None:
    metered = meter(n=2)
    metered.feed(delta("a", finish="stop"))
    half = metered.is_complete

    metered.feed(delta("b", index=1, finish="length"))

    assert not half
    assert metered.is_complete
    assert not metered.is_done
    assert metered.closing(usage_of(metered)) == DONE


@pytest.mark.parametrize("marker", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n\r"])
def test_it_knows_an_end_marker_that_lacks_its_blank_line(marker: bytes) -> None:
    metered = meter()
    metered.feed(delta("Hello") + marker)

    assert metered.flush() == b""
    assert metered.is_done


def test_it_completes_a_last_event_that_lacks_its_blank_line() -> None:
    metered = meter()

    assert metered.feed(delta("Hello")[:-2]) == b""
    assert metered.flush() == bare(delta("Hello"))


@pytest.mark.parametrize(
    "told",
    [
        b'data: {"error":{"message":"org-canary is over its quota"}}\n\n',
        b'data: {"error": "boom"}\n\n',
        b'event: error\ndata: {"message":"org-canary"}\n\n',
    ],
)
def test_it_keeps_the_upstreams_error_to_itself(told: bytes) -> None:
    metered = meter()

    relayed = metered.feed(delta("Hello") + told + delta(" there") + DONE)

    assert relayed == bare(delta("Hello"))
    assert metered.error
    assert metered.has_ended
    assert not metered.is_complete
    assert usage_of(metered).completion_tokens == 1


def test_it_ends_on_an_event_without_end() -> None:
    metered = ChunkMeter(encoding=O200K, label=LABEL, wants_usage=False, max_event_bytes=300)

    relayed = metered.feed(delta("Hello") + b"data: " + b"x" * 400)

    assert relayed == bare(delta("Hello"))
    assert str(metered.error) == "an event is longer than 300 bytes"
    assert not metered.is_complete


def test_it_keeps_comments_of_the_upstream_to_itself() -> None:
    metered = meter()

    assert metered.feed(b": SOME-UPSTREAM PROCESSING\n\n" + delta("Hello")) == bare(delta("Hello"))


def test_it_ignores_what_follows_the_end() -> None:
    metered = meter()

    assert metered.feed(DONE + delta("more")) == b""
    assert metered.events_relayed == 0


def test_it_counts_all_that_a_model_writes() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "add", "arguments": ""}}
    metered = meter(n=2)
    for chunk in [
        delta("Hello"),
        delta("Hello", index=1),
        delta(refusal=" no"),
        delta(reasoning_content=" because"),
        delta(tool_calls=[call]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": "Hel"}}]),
        delta(tool_calls=[{"index": 1, "function": {"arguments": " friend"}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": "lo"}}]),
    ]:
        metered.feed(chunk)

    usage = usage_of(metered)

    # Two greetings, a refusal, a thought; add, Hello and friend.
    assert usage.completion_tokens == 4 + 3
    assert usage.reasoning_tokens == 1


def test_it_counts_words_that_were_cut_into_deltas_as_words() -> None:
    metered = meter()
    for piece in ["H", "el", "lo", " ", "th", "ere"]:
        metered.feed(delta(piece))

    assert usage_of(metered).completion_tokens == 2


def test_it_tells_progress_without_changing_the_count() -> None:
    metered = meter()
    progress = []
    for piece in [" one", " two", " thr", "ee"]:
        metered.feed(delta(piece))
        progress.append(metered.estimate(prompt_tokens=8).completion_tokens)

    # A half word may be more tokens than the whole one.
    assert progress == [1, 2, 3, 3]


def test_it_forgets_the_bytes_of_a_long_stream() -> None:
    metered = meter()

    for _ in range(5_000):
        metered.feed(delta(" word"))
        if metered.is_behind:
            metered.catch_up()

    assert metered.unread_bytes <= UNREAD_BYTES
    assert usage_of(metered, maximum=None).completion_tokens == 5_000


@given(st.binary(max_size=200))
def test_it_survives_any_bytes(noise: bytes) -> None:
    metered = meter(wants_usage=True)

    relayed = metered.feed(delta("Hello") + b"data: " + noise + b"\n\n") + metered.flush()

    assert relayed.startswith(delta("Hello"))
    assert metered.estimate(prompt_tokens=8).completion_tokens >= 1


JSON = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "index", "content", "tool_calls", "function", "usage", "error"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON, JSON)
def test_it_survives_any_shape(choices: Any, usage: Any) -> None:
    metered = meter(wants_usage=True)
    metered.feed(event(choices=choices, usage=usage))
    metered.feed(event(choices=[{"index": choices, "delta": usage, "finish_reason": choices}]))

    try:
        reported = usage_of(metered)
    except ImpossibleUsage:
        reported = metered.estimate(prompt_tokens=8)

    assert reported.completion_tokens >= 0
    if metered.is_complete:
        assert metered.closing(reported).endswith(DONE)


def answer(**fields: Any) -> bytes:
    message = {"role": "assistant", "content": "Hello there."}
    return orjson.dumps(HEAD | {"choices": [{"index": 0, "message": message}]} | fields)


def whole(body: bytes) -> JsonAnswer:
    return meter_completion(body, encoding=O200K, label=LABEL, kind="chat.completion")


def test_it_meters_a_whole_answer() -> None:
    metered = whole(answer(usage=REPORT))

    assert metered.usage(prompt_tokens=99, max_completion_tokens=3) == Usage(8, 3)


@pytest.mark.parametrize("fields", [{}, {"usage": None}, {"usage": {}}])
def test_it_counts_a_whole_answer_without_usage(fields: dict[str, Any]) -> None:
    metered = whole(answer(**fields))

    usage = metered.usage(prompt_tokens=9, max_completion_tokens=3)

    assert usage == Usage(9, 3, source=Source.ESTIMATED)


def test_it_refuses_impossible_usage_of_a_whole_answer() -> None:
    metered = whole(answer(usage=REPORT | {"prompt_tokens": "8"}))

    with pytest.raises(ImpossibleUsage, match="prompt_tokens is not an integer"):
        metered.usage(prompt_tokens=9, max_completion_tokens=3)
    assert metered.estimate(prompt_tokens=9) == Usage(9, 3, source=Source.ESTIMATED)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":{}}', b'{"choices":{}}'])
def test_it_refuses_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        whole(body)
