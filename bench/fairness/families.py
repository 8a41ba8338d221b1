"""The hostile families. A new way to slow others is a new row."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MB = 1024 * 1024
# As large as a body may be by default.
MOST_BYTES = 8 * MB - 1024
CHAT = "/v1/chat/completions"


class Way(StrEnum):
    """How a client sends."""

    POST = "sends whole requests, one after the other, as fast as they are answered"
    STOP = "sends a part of a request, then nothing, and begins anew when it is hung up on"
    STREAM = "opens a stream and reads it slowly, or not at all"


class Key(StrEnum):
    """Whose key a client sends."""

    CUSTOMER = "a customer's with credits"
    UNKNOWN = "a well-formed one that nobody has, each time another"
    NONE = "none"


@dataclass(frozen=True)
class Family:
    """One kind of hostile client. `body` makes what is sent; `sent` is how much of it, if a part.

    `declared` is the Content-Length if it is not the body's; None of `reads_bytes_s`: nothing.
    """

    way: Way
    clients: int
    body: Callable[[], bytes] = bytes
    key: Key = Key.CUSTOMER
    path: str = CHAT
    method: str = "POST"
    sent: int | None = None
    declared: int | None = None
    headers: Callable[[], bytes] = bytes
    reads_bytes_s: int | None = None


def chat(content: str, *, rest: str = "", model: str = "gpt-4o") -> bytes:
    """A chat of one message, its content as it stands in JSON."""
    text = f'{{"model":"{model}","messages":[{{"role":"user","content":"{content}"}}]{rest}}}'
    return text.encode()


def text(unit: str, size: int, *, start: str = "", model: str = "gpt-4o") -> Callable[[], bytes]:
    """A message that repeats a unit."""
    return lambda: chat(start + unit * (size // len(unit.encode())), model=model)


def field(unit: str, size: int) -> Callable[[], bytes]:
    """A field of a chat that repeats a unit between commas."""
    return lambda: chat("Hi", rest=f',"metadata":[{",".join([unit] * (size // (len(unit) + 1)))}]')


def messages(count: int) -> Callable[[], bytes]:
    one = '{"role":"user","content":"a"}'
    return lambda: b'{"model":"gpt-4o","messages":[%b]}' % ",".join([one] * count).encode()


def numbers(count: int) -> Callable[[], bytes]:
    return lambda: b'{"model":"gpt-4o","prompt":[%b]}' % b",".join([b"1"] * count)


def many_headers() -> bytes:
    return b"".join(b"x-%d: y\r\n" % number for number in range(5_000))


def stream(words: int) -> Callable[[], bytes]:
    return lambda: chat(f"Say {words} words. [[tps=2000]]", rest=',"stream":true')


FAMILIES: dict[str, Family] = {
    # The connection.
    "1,000 idle connections": Family(Way.STOP, 1_000, sent=0),
    "half-open headers": Family(Way.STOP, 300, sent=20),
    "a header of 16 MB": Family(Way.POST, 4, headers=lambda: b"x: " + b"y" * 16 * MB + b"\r\n"),
    "5,000 headers": Family(Way.POST, 8, headers=many_headers),
    "slow readers of streams": Family(Way.STREAM, 50, stream(2_000)),
    "trickling readers of streams": Family(Way.STREAM, 50, stream(2_000), reads_bytes_s=100),
    # The key.
    "unknown keys": Family(Way.POST, 8, lambda: chat("Hi"), key=Key.UNKNOWN),
    "no key, large bodies": Family(Way.POST, 8, text("a", MOST_BYTES), key=Key.NONE),
    "no key, bodies that stop": Family(
        Way.STOP, 30, text("a", MOST_BYTES), key=Key.NONE, sent=MOST_BYTES * 19 // 20
    ),
    # The body.
    "bodies that stop": Family(Way.STOP, 30, text("a", MOST_BYTES), sent=MOST_BYTES * 19 // 20),
    "19 MB bodies that stop": Family(
        Way.STOP, 30, text("a", MOST_BYTES), declared=20 * MB, sent=MOST_BYTES
    ),
    "forms that stop": Family(
        Way.STOP, 30, text("a", MB // 2), key=Key.NONE, path="/accounts/login/", sent=MB // 4
    ),
    # What is in it.
    "deep JSON": Family(Way.POST, 4, lambda: b'{"x":' + b"[" * MOST_BYTES),
    "wide JSON": Family(Way.POST, 4, field("[[[]]]", MOST_BYTES)),
    "as wide as allowed": Family(Way.POST, 4, field("[[]]", 45_000)),
    "600,000 messages": Family(Way.POST, 4, messages(200_000)),
    "as many messages as allowed": Family(Way.POST, 4, messages(9_900)),
    "as many numbers as allowed": Family(Way.POST, 4, numbers(390_000), path="/v1/completions"),
    "a long string": Family(Way.POST, 4, text("a", MOST_BYTES)),
    "a long string of escapes": Family(Way.POST, 4, text("\\n", MOST_BYTES)),
    "a long string of another script": Family(Way.POST, 4, text("中", MOST_BYTES)),
    "digits": Family(Way.POST, 4, lambda: b'{"y":1.%be19}' % (b"1" * MOST_BYTES)),
    "large bodies that end in 400": Family(
        Way.POST, 8, lambda: b'{"model":"gpt-4o","user":"%b"}' % (b"x" * MOST_BYTES)
    ),
    "small bodies that end in 400": Family(Way.POST, 8, lambda: b"{}"),
    # What the tokenizer makes of it.
    "a megabyte of spaces": Family(Way.POST, 8, text(" ", 1_000_000, start="a")),
    "a megabyte of one letter": Family(Way.POST, 8, text("a", 1_000_000)),
    "a megabyte of an older vocabulary": Family(Way.POST, 8, text("a", 1_000_000, model="gpt-4")),
    "100 kB of emoji": Family(Way.POST, 8, text("😀", 100_000)),
    # What goes on for as long as a stream.
    "streams with long prompts": Family(
        Way.STREAM,
        60,
        lambda: chat("word " * 20_000 + "[[tps=5]] [[tokens=300]]", rest=',"stream":true'),
        reads_bytes_s=1_000_000,
    ),
}
