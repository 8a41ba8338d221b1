"""What a stranger may send costs no more than its bytes: up to the hold, work grows with them.

Each family is a shape of body that grows by repeating one unit; a new way to be slow is a new row.
"""

import gc
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from proxy.errors import InvalidRequest
from proxy.metering.bounds import bound_exactly
from proxy.parsing import jsonbody
from proxy.serving.endpoints import CHAT, COMPLETIONS, RESPONSES, Endpoint
from tests.proxy.readers import reader_of

# Above every size at which the work changes its kind, below the one from which bytes are a bound.
BASE_BYTES = 150_000
# Twice the bytes: twice the work, and some for caches that no longer hold it all.
MOST_GROWTH = 2.5
ROUNDS = 12

Family = tuple[Endpoint, Callable[[int], bytes]]


def chat(*, content: bytes = b'"Hi"', model: bytes = b"gpt-4o", rest: bytes = b"") -> bytes:
    message = b'{"role":"user","content":%b}' % content
    return b'{"model":"%b","messages":[%b]%b}' % (model, message, rest and b"," + rest)


def text(unit: str, *, start: str = "", model: bytes = b"gpt-4o") -> Family:
    """A message that repeats a unit, as it stands in JSON."""
    raw = unit.encode()
    return CHAT, lambda size: chat(
        content=b'"%b%b"' % (start.encode(), raw * (size // len(raw))), model=model
    )


def listed(unit: bytes, size: int) -> bytes:
    return b",".join([unit] * (size // (len(unit) + 1)))


def named(unit: bytes, size: int) -> bytes:
    """Members of one object, each with a name of its own."""
    return b",".join(b'"k%07d":%b' % (number, unit) for number in range(size // (len(unit) + 12)))


def field(before: bytes, unit: bytes, after: bytes = b"") -> Family:
    """A field of a chat that repeats a unit between commas."""
    return CHAT, lambda size: chat(rest=before + listed(unit, size) + after)


def tools(parameters: bytes) -> Family:
    tool = b'{"type":"function","function":{"name":"f","parameters":%b}}' % parameters
    return field(b'"tools":[', tool, b"]")


def items(unit: bytes) -> Family:
    return RESPONSES, lambda size: b'{"model":"gpt-4o","input":[%b]}' % listed(unit, size)


def jpeg(unit: bytes) -> Family:
    def build(size: int) -> bytes:
        data = b64encode(b"\xff\xd8" + unit * (size * 3 // 4 // len(unit)))
        url = b'{"url":"data:image/jpeg;base64,%b"}' % data
        return chat(content=b'[{"type":"image_url","image_url":%b}]' % url)

    return CHAT, build


FAMILIES: dict[str, Family] = {
    "digits behind a point": (CHAT, lambda size: b'{"y":1.%be19}' % (b"1" * size)),
    "digits behind a point, twice named": (
        CHAT,
        lambda size: b'{"y":1.%b,"y":1}' % (b"1" * size),
    ),
    "digits of an exponent": (CHAT, lambda size: b'{"x":1e30,"y":1e%b1}' % (b"0" * size)),
    "vast floats": field(b'"x":[', b"1e20", b"]"),
    "long integers": field(b'"x":[', b"1e20,9223372036854775807", b"]"),
    "long fractions": field(b'"x":[1e30,', b"0.12345678901234567890", b"]"),
    "backslashes": text("\\\\"),
    "escaped quotes": text('\\"'),
    "escaped letters": text("\\u0041"),
    "surrogates": text("\\ud83d\\ude00"),
    "colons": text(":"),
    "objects, twice named": field(b'"x":[', b'{"a":1}', b'],"y":1,"y":2'),
    "a body that breaks off": (CHAT, lambda size: chat(content=b'"%b' % (b"\\n" * (size // 2)))),
    "lines before an error": (CHAT, lambda size: b'{"x":[%bx]}' % (b"\n" * size)),
    "brackets": field(b'"x":[', b"[[[]]]", b"]"),
    "unknown fields": (CHAT, lambda size: chat(rest=named(b"1", size))),
    "metadata": (CHAT, lambda size: chat(rest=b'"metadata":{%b}' % named(b'"v"', size))),
    "a long model": (CHAT, lambda size: chat(model=b"a/" * (size // 2))),
    "prose": text("the quick brown fox "),
    "one letter": text("a"),
    "one letter of an older vocabulary": text("a", model=b"gpt-4"),
    "capitals": text("A"),
    "digits": text("1"),
    "spaces": text(" "),
    "spaces behind a letter": text(" ", start="a"),
    "spaces of an older vocabulary": text(" ", model=b"gpt-4"),
    "lines": text("\\n"),
    "lines with a space": text("a\\n "),
    "marks": text("!"),
    "accents": text("\u0301"),
    "messages": (
        CHAT,
        lambda size: (
            b'{"model":"gpt-4o","messages":[%b]}' % listed(b'{"role":"user","content":"a"}', size)
        ),
    ),
    "parts": (
        CHAT,
        lambda size: chat(content=b"[%b]" % listed(b'{"type":"text","text":"a"}', size)),
    ),
    "images": (
        CHAT,
        lambda size: chat(
            content=b"[%b]" % listed(b'{"type":"image_url","image_url":{"url":"data:,"}}', size)
        ),
    ),
    "filled JPEG": jpeg(b"\xff"),
    "segments of a JPEG": jpeg(b"\xff\xe0\x00\x00"),
    "tools": tools(b"{}"),
    "deep properties": tools(b'{"properties":{"a":' * 40 + b"{}" + b"}}" * 40),
    "deep choices": tools(b'{"anyOf":[' * 40 + b"{}" + b"]}" * 40),
    "types of types": tools(b'{"properties":{"a":{"type":' * 25 + b"[]" + b"}}}" * 25),
    "values of a property": field(
        b'"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":'
        b'{"a":{"enum":[',
        b"[1]",
        b"]}}}}}]",
    ),
    "prediction": field(b'"prediction":{"content":[', b'{"text":"a"}', b"]}"),
    "items": items(b'{"role":"user","content":"a"}'),
    "thoughts": items(b'{"type":"reasoning","summary":[{"text":"a"}]}'),
    "numbers of a prompt": (
        COMPLETIONS,
        lambda size: b'{"model":"gpt-4o","prompt":[%b]}' % listed(b"1", size),
    ),
}


def cpu_s(endpoint: Endpoint, body: bytes) -> float:
    """Do what is done with a body before its hold is asked for, and return the CPU it took."""
    # What the collector does at such a moment is about everything else in the process.
    gc.disable()
    started = time.thread_time()
    try:
        with suppress(InvalidRequest):
            request = endpoint.request.parse(jsonbody.parse(body))
            prompt = endpoint.take_apart(request.body, request.model)
            bound_exactly(prompt, reader_of(request.model))
        return time.thread_time() - started
    finally:
        gc.enable()


def growths(endpoint: Endpoint, small: bytes, large: bytes) -> Iterator[float]:
    """Compare the least that each has taken, again and again: a busy machine only adds to it."""
    least_small = least_large = float("inf")
    for _ in range(ROUNDS):
        least_small = min(least_small, cpu_s(endpoint, small))
        least_large = min(least_large, cpu_s(endpoint, large))
        yield least_large / least_small


@pytest.mark.parametrize("name", FAMILIES)
def test_twice_the_bytes_take_little_more_than_twice_the_work(name: str) -> None:
    endpoint, build = FAMILIES[name]
    small, twice, four_times = (build(BASE_BYTES * times) for times in (1, 2, 4))
    assert len(twice) < 2.1 * len(small)

    # One doubling may pass the bound of a cache that others use as well; two of them don't.
    assert any(growth <= MOST_GROWTH for growth in growths(endpoint, small, twice)) or any(
        growth <= MOST_GROWTH**2 for growth in growths(endpoint, small, four_times)
    )


def test_a_megabyte_of_digits_takes_milliseconds() -> None:
    body = b'{"y":1.%be19}' % (b"1" * 1_000_000)

    assert min(cpu_s(CHAT, body) for _ in range(ROUNDS)) < 0.05
