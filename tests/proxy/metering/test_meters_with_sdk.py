"""What the meter relays, read by the official SDK."""

import httpx2
import openai
import orjson
import pytest

from proxy.errors import UpstreamUnavailable
from proxy.metering.chunks import ChunkMeter
from proxy.metering.encodings import encoding_for
from proxy.metering.shapes import Label
from proxy.metering.sse import error_event

WORDS = ["Hello", " there", "."]


def upstream(*, usage: bool) -> bytes:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o"}
    chunks = [
        head | {"choices": [{"index": 0, "delta": {"content": word}}], "usage": None}
        for word in WORDS
    ]
    if usage:
        report = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
        chunks.append(head | {"choices": [], "usage": report})
    events = [b"data: " + orjson.dumps(chunk) + b"\r\n\r\n" for chunk in chunks]
    return b"".join(events) + b"data: [DONE]\r\n\r\n"


def read(body: bytes) -> tuple[str, list[int]]:
    """Give the text and the completion tokens of each usage chunk."""

    def respond(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    with (
        httpx2.Client(transport=httpx2.MockTransport(respond)) as http,
        openai.OpenAI(
            api_key="tp", base_url="http://test/v1", http_client=http, max_retries=0
        ) as client,
    ):
        stream = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello!"}], stream=True
        )
        text, usages = "", []
        for chunk in stream:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            usages += [chunk.usage.completion_tokens] if chunk.usage else []
        return text, usages


@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize("reports_usage", [True, False])
def test_the_sdk_reads_the_text_and_one_usage_if_asked(
    wants_usage: bool, reports_usage: bool
) -> None:
    metered = ChunkMeter(
        label=Label("gpt-4o"), encoding=encoding_for("gpt-4o"), wants_usage=wants_usage
    )

    body = metered.feed(upstream(usage=reports_usage)) + metered.flush()
    body += metered.closing(metered.usage(prompt_tokens=8, max_completion_tokens=3))

    assert read(body) == ("Hello there.", [3] if wants_usage else [])


def test_the_sdk_raises_when_the_stream_broke() -> None:
    metered = ChunkMeter(label=Label("gpt-4o"), encoding=encoding_for("gpt-4o"), wants_usage=True)
    body = metered.feed(upstream(usage=True)[:250]) + metered.flush()

    assert not metered.is_complete
    with pytest.raises(openai.APIError, match="not available right now"):
        read(body + error_event(UpstreamUnavailable()))
