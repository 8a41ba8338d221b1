"""Whatever a request has in it, its hold covers what an upstream that keeps to its rules reports.

The upstream here is one that reads as much as it may: it decodes images to their true sizes, reads
documents and sound up to its context, has a tokenizer of its own, writes every answer to its
maximum, thinks as far as its route says beside it, and makes nothing of a prediction come true.
"""

import struct
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.catalogue.pricing import Rates, cost_credits
from billing.token_classes import CLASSES
from proxy.metering.bounds import Reader, bound_by_size, bound_prompt
from proxy.metering.encodings import count_text, encoding_for
from proxy.metering.images import count_image
from proxy.metering.usage import Usage
from proxy.parsing.chat import ChatRequest
from proxy.serving.admission import Worst, find_worst
from proxy.serving.endpoints import CHAT
from proxy.upstreams.catalogue import Model
from tests.proxy.hostile_files import gif, jpeg, pdf, url, webp
from tests.proxy.upstreams.stage import make_route

CONTEXT = 20_000
STRANGER = "llama-3"
KNOWN = ("gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5", "o4-mini")
SIZES = st.integers(1, 6_000)
DETAILS = st.sampled_from(["auto", "low", "high"])
TEXTS = st.text(st.sampled_from("aZ09 \n\t.,:;\"'\\éßñвЯ漢字かな한عहि😀\u0301\ufdfa"), max_size=80)
# Made to tell another size than a decoder sees.
IMAGES = {"gif": gif, "jpeg": jpeg, "webp": webp}
FILES: dict[str, dict[str, Any]] = {
    "pdf": {"type": "file", "file": {"file_data": url("application/pdf", pdf(1_000))}},
    "sound": {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
}
PARTS = st.one_of(
    st.builds(lambda text: ("text", text), TEXTS),
    st.builds(lambda *seen: ("image", *seen), st.sampled_from(list(IMAGES)), SIZES, SIZES, DETAILS),
    st.builds(lambda kind: ("file", kind), st.sampled_from(list(FILES))),
)
SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer", "description": "A count."}]),
    lambda inner: st.builds(
        lambda names, each: {"type": "object", "properties": dict.fromkeys(names, each)},
        st.lists(st.sampled_from(["city", "days", "漢字"]), max_size=3, unique=True),
        inner,
    ),
    max_leaves=4,
)


@dataclass
class Asked:
    """A request, and what of it must be known to read it."""

    model: str
    body: dict[str, Any]
    parts: list[tuple[Any, ...]]
    predicted: str
    most: int


def part_of(part: tuple[Any, ...]) -> dict[str, Any]:
    """Write a part as it is sent."""
    if part[0] == "text":
        return {"type": "text", "text": part[1]}
    if part[0] == "file":
        return FILES[part[1]]
    _, kind, width, height, detail = part
    address = url(f"image/{kind}", IMAGES[kind](width, height))
    return {"type": "image_url", "image_url": {"url": address, "detail": detail}}


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    parts = draw(st.lists(PARTS, min_size=1, max_size=4))
    most, predicted = draw(st.integers(1, 60)), draw(st.none() | TEXTS)
    tools = draw(st.lists(SCHEMAS, max_size=2))
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": [part_of(part)]} for part in parts],
        draw(st.sampled_from(["max_tokens", "max_completion_tokens"])): most,
        "n": draw(st.integers(1, 3)),
    }
    if draw(st.booleans()):
        body |= {"logprobs": True, "top_logprobs": draw(st.integers(0, 20))}
    if tools:
        body["tools"] = [
            {"type": "function", "function": {"name": f"f{place}", "parameters": schema}}
            for place, schema in enumerate(tools)
        ]
    if predicted:
        body["prediction"] = {"type": "content", "content": predicted}
    model = draw(st.sampled_from([*KNOWN, STRANGER]))
    return Asked(model, {"model": model} | body, parts, predicted or "", most)


def read_image(part: tuple[Any, ...], model: str) -> int:
    """Count an image as it is decoded, at the greatest detail that its request allows."""
    _, _, width, height, detail = part
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height)
    seen = "high" if detail == "auto" else detail
    return count_image(url("image/png", header + bytes(13)), detail=seen, model=model)


def read_text(text: str, model: str) -> int:
    """Count a text: by the model's tokenizer, or a token for each byte of how it is written."""
    if model == STRANGER:
        return max(len(text.encode()) + 1, len(orjson.dumps(text)))
    return count_text(text, encoding_for(model))


def rejected(text: str, model: str) -> int:
    """Count a prediction of which nothing came true: a stranger's vocabulary is byte-level."""
    return len(text.encode()) if model == STRANGER else count_text(text, encoding_for(model))


def most_read(asked: Asked) -> int:
    """Return what an upstream may report of the prompt."""
    read = 3
    for part in asked.parts:
        read += 3 + read_text("user", asked.model)
        if part[0] == "file" or (part[0] == "image" and asked.model == STRANGER):
            return CONTEXT
        read += (
            read_text(part[1], asked.model) if part[0] == "text" else read_image(part, asked.model)
        )
    if tools := asked.body.get("tools"):
        read += read_text(orjson.dumps(tools).decode(), asked.model)
    return min(read + read_text(asked.predicted, asked.model), CONTEXT)


def worst_of(asked: Asked, rates: Rates, beyond: int, *, is_by_size: bool) -> Worst:
    """Return what is held, by the count or by the size of the prompt."""
    request = ChatRequest.parse(asked.body)
    prompt = CHAT.take_apart(request.body, request.model)
    reader = Reader.of(asked.model, [asked.model], context_tokens=CONTEXT)
    route = make_route(upstream_model=asked.model, reasoning_beyond_maximum=beyond)
    model = Model(asked.model, "acme", 0, 4_096, None, rates, (route,), reader)
    bound = (bound_by_size if is_by_size else bound_prompt)(prompt, reader)
    return find_worst(request, prompt, bound, model=model, routes=(route,))


def rates_of(each: list[int]) -> Rates:
    return Rates(1, 1, *each)


@pytest.mark.parametrize("is_by_size", [False, True], ids=["counted", "by size"])
@given(
    asked=requests(),
    rates=st.lists(st.integers(0, 5_000), min_size=len(CLASSES), max_size=len(CLASSES)),
    beyond=st.sampled_from([0, 200]),
    data=st.data(),
)
def test_a_hold_covers_all_that_an_upstream_may_report(
    is_by_size: bool, asked: Asked, rates: list[int], beyond: int, data: st.DataObject
) -> None:
    prompt = most_read(asked)
    unlike = rejected(asked.predicted, asked.model)
    completion = (asked.most + unlike + beyond) * asked.body["n"]
    cached = data.draw(st.integers(0, prompt), "cached")
    reported = Usage(
        prompt,
        completion,
        cached_tokens=cached,
        cache_write_tokens=data.draw(st.integers(0, prompt - cached), "written"),
        prompt_audio_tokens=data.draw(st.integers(0, prompt), "heard"),
        prompt_image_tokens=data.draw(st.integers(0, prompt), "seen"),
        reasoning_tokens=data.draw(st.integers(0, completion), "thought"),
        completion_audio_tokens=data.draw(st.integers(0, completion), "spoken"),
    )

    worst = worst_of(asked, rates_of(rates), beyond, is_by_size=is_by_size)

    assert cost_credits(rates_of(rates), reported) <= worst.most_credits
    assert reported.total_tokens <= worst.most_tokens
