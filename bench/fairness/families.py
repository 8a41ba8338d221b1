"""The hostile families, in one table: what a stranger may send to slow others.

`make fairness` sends those that have clients, beside a good client; a test of ours
(`tests/proxy/parsing/test_growth.py`) has each body that grows read at twice its size. A new way to
slow others is a new row, and most rows need one thing: a function that makes a body of a size.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MB = 1024 * 1024
# As large as a body may be by default.
MOST_BYTES = 8 * MB - 1024
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"

# Makes a body of about so many bytes.
Body = Callable[[int], bytes]


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
    """One kind of hostile client.

    `body` is what is sent, or makes it at `size`; `sent` is how much of it, if a part.
    `declared` is the Content-Length if it is not the body's; None of `reads_bytes_s`: nothing.
    """

    body: Body | bytes = b""
    size: int = 0
    # Without any it is not sent by `make fairness`, only read at twice its size.
    clients: int = 0
    way: Way = Way.POST
    key: Key = Key.CUSTOMER
    path: str = CHAT
    method: str = "POST"
    sent: int | None = None
    declared: int | None = None
    headers: Callable[[], bytes] = bytes
    reads_bytes_s: int | None = None

    def make(self) -> bytes:
        """Return the body that is sent."""
        return self.body if isinstance(self.body, bytes) else self.body(self.size)


def chat(*, content: bytes = b'"Hi"', model: bytes = b"gpt-4o", rest: bytes = b"") -> bytes:
    """A chat of one message, its content as it stands in JSON."""
    message = b'{"role":"user","content":%b}' % content
    return b'{"model":"%b","messages":[%b]%b}' % (model, message, rest and b"," + rest)


def text(unit: str, *, start: str = "", model: bytes = b"gpt-4o") -> Body:
    """A message that repeats a unit, as it stands in JSON."""
    raw = unit.encode()
    return lambda size: chat(
        content=b'"%b%b"' % (start.encode(), raw * (size // len(raw))), model=model
    )


def listed(unit: bytes, size: int) -> bytes:
    return b",".join([unit] * (size // (len(unit) + 1)))


def named(unit: bytes, size: int) -> bytes:
    """Members of one object, each with a name of its own."""
    return b",".join(b'"k%07d":%b' % (number, unit) for number in range(size // (len(unit) + 12)))


def field(before: bytes, unit: bytes, after: bytes = b"") -> Body:
    """A field of a chat that repeats a unit between commas."""
    return lambda size: chat(rest=before + listed(unit, size) + after)


def tools(parameters: bytes) -> Body:
    tool = b'{"type":"function","function":{"name":"f","parameters":%b}}' % parameters
    return field(b'"tools":[', tool, b"]")


def items(unit: bytes) -> Family:
    return Family(
        lambda size: b'{"model":"gpt-4o","input":[%b]}' % listed(unit, size), path=RESPONSES
    )


def jpeg(unit: bytes) -> Body:
    def build(size: int) -> bytes:
        data = b64encode(b"\xff\xd8" + unit * (size * 3 // 4 // len(unit)))
        url = b'{"url":"data:image/jpeg;base64,%b"}' % data
        return chat(content=b'[{"type":"image_url","image_url":%b}]' % url)

    return build


def messages(size: int) -> bytes:
    one = b'{"role":"user","content":"a"}'
    return b'{"model":"gpt-4o","messages":[%b]}' % listed(one, size)


def numbers(size: int) -> bytes:
    return b'{"model":"gpt-4o","prompt":[%b]}' % listed(b"1", size)


def digits(size: int) -> bytes:
    return b'{"y":1.%be19}' % (b"1" * size)


def fields(size: int) -> bytes:
    return b'{"model":"gpt-4o","user":"%b"}' % (b"x" * size)


def long_stream(size: int) -> bytes:
    words = b"word " * (size // 5)
    return chat(content=b'"%b[[tps=5]] [[tokens=300]]"' % words, rest=b'"stream":true')


def many_headers() -> bytes:
    return b"".join(b"x-%d: y\r\n" % number for number in range(5_000))


STREAM = chat(content=b'"Say 2000 words. [[tps=2000]]"', rest=b'"stream":true')
LETTERS, OLDER_LETTERS, SPACES = text("a"), text("a", model=b"gpt-4"), text(" ", start="a")
BRACKETS = field(b'"x":[', b"[[[]]]", b"]")
MESSAGE_BYTES = len(b'{"role":"user","content":"a"},')

FAMILIES: dict[str, Family] = {
    # The connection.
    "1,000 idle connections": Family(clients=1_000, way=Way.STOP, sent=0),
    "half-open headers": Family(clients=300, way=Way.STOP, sent=20),
    "a header of 16 MB": Family(clients=4, headers=lambda: b"x: " + b"y" * 16 * MB + b"\r\n"),
    "5,000 headers": Family(clients=8, headers=many_headers),
    "slow readers of streams": Family(STREAM, clients=50, way=Way.STREAM),
    "trickling readers of streams": Family(STREAM, clients=50, way=Way.STREAM, reads_bytes_s=100),
    # The key.
    "unknown keys": Family(chat(), clients=8, key=Key.UNKNOWN),
    "no key, large bodies": Family(LETTERS, MOST_BYTES, 8, key=Key.NONE),
    "no key, bodies that stop": Family(
        LETTERS, MOST_BYTES, 30, Way.STOP, Key.NONE, sent=MOST_BYTES * 19 // 20
    ),
    # The body.
    "bodies that stop": Family(LETTERS, MOST_BYTES, 30, Way.STOP, sent=MOST_BYTES * 19 // 20),
    "19 MB bodies that stop": Family(
        LETTERS, MOST_BYTES, 30, Way.STOP, declared=20 * MB, sent=MOST_BYTES
    ),
    "forms that stop": Family(
        LETTERS, MB // 2, 30, Way.STOP, Key.NONE, "/accounts/login/", sent=MB // 4
    ),
    # What is in it: its JSON.
    "deep JSON": Family(lambda size: b'{"x":' + b"[" * size, MOST_BYTES, 4),
    "wide JSON": Family(BRACKETS, MOST_BYTES, 4),
    "as wide as allowed": Family(field(b'"metadata":[', b"[[]]", b"]"), 45_000, 4),
    "600,000 messages": Family(messages, 200_000 * MESSAGE_BYTES, 4),
    "as many messages as allowed": Family(messages, 9_900 * MESSAGE_BYTES, 4),
    "as many numbers as allowed": Family(numbers, 390_000 * 2, 4, path=COMPLETIONS),
    "a long string": Family(LETTERS, MOST_BYTES, 4),
    "a long string of escapes": Family(text("\\n"), MOST_BYTES, 4),
    "a long string of another script": Family(text("中"), MOST_BYTES, 4),
    "digits behind a point": Family(digits, MOST_BYTES, 4),
    "large bodies that end in 400": Family(fields, MOST_BYTES, 8),
    "small bodies that end in 400": Family(b"{}", clients=8),
    "digits behind a point, twice named": Family(lambda size: digits(size)[:-1] + b',"y":1}'),
    "digits of an exponent": Family(lambda size: b'{"x":1e30,"y":1e%b1}' % (b"0" * size)),
    "vast floats": Family(field(b'"x":[', b"1e20", b"]")),
    "long integers": Family(field(b'"x":[', b"1e20,9223372036854775807", b"]")),
    "long fractions": Family(field(b'"x":[1e30,', b"0.12345678901234567890", b"]")),
    "backslashes": Family(text("\\\\")),
    "escaped quotes": Family(text('\\"')),
    "escaped letters": Family(text("\\u0041")),
    "surrogates": Family(text("\\ud83d\\ude00")),
    "colons": Family(text(":")),
    "objects, twice named": Family(field(b'"x":[', b'{"a":1}', b'],"y":1,"y":2')),
    "a body that breaks off": Family(lambda size: chat(content=b'"%b' % (b"\\n" * (size // 2)))),
    "lines before an error": Family(lambda size: b'{"x":[%bx]}' % (b"\n" * size)),
    "unknown fields": Family(lambda size: chat(rest=named(b"1", size))),
    "metadata": Family(lambda size: chat(rest=b'"metadata":{%b}' % named(b'"v"', size))),
    "a long model": Family(lambda size: chat(model=b"a/" * (size // 2))),
    # What the tokenizer makes of it.
    "a megabyte of spaces": Family(SPACES, 1_000_000, 8),
    "a megabyte of one letter": Family(LETTERS, 1_000_000, 8),
    "a megabyte of an older vocabulary": Family(OLDER_LETTERS, 1_000_000, 8),
    "100 kB of emoji": Family(text("😀"), 100_000, 8),
    "prose": Family(text("the quick brown fox ")),
    "capitals": Family(text("A")),
    "digits": Family(text("1")),
    "spaces": Family(text(" ")),
    "spaces of an older vocabulary": Family(text(" ", model=b"gpt-4")),
    "lines with a space": Family(text("a\\n ")),
    "marks": Family(text("!")),
    "accents": Family(text("\u0301")),
    # What a prompt is taken apart into.
    "parts": Family(
        lambda size: chat(content=b"[%b]" % listed(b'{"type":"text","text":"a"}', size))
    ),
    "images": Family(
        lambda size: chat(
            content=b"[%b]" % listed(b'{"type":"image_url","image_url":{"url":"data:,"}}', size)
        )
    ),
    "filled JPEG": Family(jpeg(b"\xff")),
    "segments of a JPEG": Family(jpeg(b"\xff\xe0\x00\x00")),
    "tools": Family(tools(b"{}")),
    "deep properties": Family(tools(b'{"properties":{"a":' * 40 + b"{}" + b"}}" * 40)),
    "deep choices": Family(tools(b'{"anyOf":[' * 40 + b"{}" + b"]}" * 40)),
    "types of types": Family(tools(b'{"properties":{"a":{"type":' * 25 + b"[]" + b"}}}" * 25)),
    "values of a property": Family(
        field(
            b'"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":'
            b'{"a":{"enum":[',
            b"[1]",
            b"]}}}}}]",
        )
    ),
    "prediction": Family(field(b'"prediction":{"content":[', b'{"text":"a"}', b"]}")),
    "items": items(b'{"role":"user","content":"a"}'),
    "thoughts": items(b'{"type":"reasoning","summary":[{"text":"a"}]}'),
    # What goes on for as long as a stream.
    "streams with long prompts": Family(
        long_stream, 100_000, 60, Way.STREAM, reads_bytes_s=1_000_000
    ),
}
# Those that `make fairness` sends.
SENT = {name: family for name, family in FAMILIES.items() if family.clients}
