"""What goes over the wire to an upstream, and which connections are used again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.errors import UpstreamError, UpstreamNotReached, UpstreamTimedOut
from proxy.upstreams.client import UpstreamAnswer, UpstreamClient
from tests.proxy.canned import Canned, json_answer, serve_canned
from tests.proxy.conftest import until
from tests.proxy.upstreams.stage import make_upstream

OK = json_answer(200, {"a": 1})
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# So much longer than it takes that a busy machine does not matter.
PATIENCE_S = 20


@pytest.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    client = await UpstreamClient.connect(max_connections=2)
    yield client
    await client.close()


async def post(
    client: UpstreamClient, base_url: str, *, secret: str = "sk-1", body: bytes = b"{}"
) -> UpstreamAnswer:
    upstream = make_upstream(base_url=base_url)
    return await client.post(upstream, "/chat", body, secret=secret, request_id="req_1")


async def read(client: UpstreamClient, base_url: str, **sent: str) -> bytes:
    async with await post(client, base_url, **sent) as answer:  # type: ignore[arg-type]
        return await answer.read()


async def test_a_request_is_written_with_these_headers_and_no_others(
    client: UpstreamClient,
) -> None:
    async with serve_canned(OK) as canned:
        await read(client, canned.base_url)

    host = canned.base_url.removeprefix("http://").removesuffix("/v1")
    assert canned.requests == [
        b"POST /v1/chat HTTP/1.1\r\n"
        b"Host: %b\r\n"
        b"accept: */*\r\n"
        b"authorization: Bearer sk-1\r\n"
        b"accept-encoding: identity\r\n"
        b"user-agent: tokenproxy\r\n"
        b"x-client-request-id: req_1\r\n"
        b"content-type: application/json\r\n"
        b"Content-Length: 2\r\n"
        b"\r\n{}" % host.encode()
    ]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\nx-evil: 1", "\0"])
async def test_a_secret_can_write_no_header_of_its_own(client: UpstreamClient, end: str) -> None:
    async with serve_canned(OK) as canned:
        with pytest.raises(ValueError, match="line's end"):
            await post(client, canned.base_url, secret=f"sk-1{end}")

    assert canned.requests == []


@pytest.mark.parametrize("before", [b"", HINTS, CONTINUE, CONTINUE + HINTS])
async def test_answers_on_the_way_are_passed_over(client: UpstreamClient, before: bytes) -> None:
    async with serve_canned(before + OK) as canned:
        answers = [await read(client, canned.base_url) for _ in range(2)]

    assert answers == [b'{"a":1}', b'{"a":1}']
    assert canned.connections == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"no HTTP at all\r\n\r\n", "ClientResponseError"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 10_000 + b"\r\n\r\n", "ClientResponseError"),
    ],
    ids=["not HTTP", "a long header"],
)
async def test_what_is_no_answer_is_an_upstreams_failure(
    client: UpstreamClient, answer: bytes, kind: str
) -> None:
    async with serve_canned(answer) as canned:
        with pytest.raises(UpstreamNotReached, match=kind):
            await post(client, canned.base_url)


async def test_an_answer_that_is_given_up_closes_its_connection(client: UpstreamClient) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"

    async with serve_canned(head) as canned:
        for _ in range(2):
            await (await post(client, canned.base_url)).close()

    assert canned.connections == 2


async def cancel_once_sent(client: UpstreamClient, canned: Canned) -> None:
    sent = len(canned.requests)
    asking = asyncio.create_task(post(client, canned.base_url))
    await until(lambda: len(canned.requests) > sent)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_cancelled_request_closes_its_connection(client: UpstreamClient) -> None:
    async with serve_canned(b"") as canned:
        await cancel_once_sent(client, canned)
        await cancel_once_sent(client, canned)

    assert canned.connections == 2


async def test_a_silence_breaks_what_has_a_time_limit(client: UpstreamClient) -> None:
    async with serve_canned(b"") as canned:
        upstream = make_upstream(base_url=canned.base_url)
        with pytest.raises(UpstreamTimedOut, match="silence"):
            await client.post(
                upstream, "/chat", b"{}", secret="s", request_id="r", read_timeout_s=0.2
            )


@asynccontextmanager
async def serve_hasty() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer as soon as a head is there, and read nothing of the rest."""
    heads: list[bytes] = []
    is_over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        await is_over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1_024)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", heads
    finally:
        is_over.set()
        server.close()


async def test_a_connection_with_an_unsent_rest_is_not_used_again(client: UpstreamClient) -> None:
    # More than the kernel takes at once, of which the upstream reads next to nothing.
    large = b"x" * 32 * 1024 * 1024

    async with serve_hasty() as (base_url, heads), asyncio.timeout(PATIENCE_S):
        for _ in range(2):
            async with await post(client, base_url, body=large) as answer:
                assert await answer.read() == b'{"a":1}'

    assert [head.startswith(b"POST /v1/chat HTTP/1.1\r\n") for head in heads] == [True, True]


async def test_connections_are_limited_and_waited_for(client: UpstreamClient) -> None:
    async with serve_canned(OK) as canned:
        answers = await asyncio.gather(*(read(client, canned.base_url) for _ in range(10)))

    assert answers == [b'{"a":1}'] * 10
    assert canned.connections == 2


async def test_a_port_where_nobody_listens_is_not_reached(client: UpstreamClient) -> None:
    async with serve_canned(OK) as canned:
        base_url = canned.base_url

    with pytest.raises(UpstreamError) as failure:
        await post(client, base_url)

    assert isinstance(failure.value, UpstreamNotReached)
