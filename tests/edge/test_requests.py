"""What an edge lets through, what it refuses, and what the product learns of clients."""

import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from devstack.stack import Stack
from tests.edge.servers import NAME, Edge, check_compose_file
from tests.edge.wire import send
from tests.stack.shop import Shop

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

CURL = shutil.which("curl") or "curl is missing"
HOST = f"Host: {NAME}\r\n".encode()
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST
GET = b"GET /v1/models HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HIDDEN = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"

# Requests that two readers could understand differently. Each is refused, and its connection with
# it, so that nothing behind it is ever read as a request.
REFUSED = {
    "two lengths": POST + b"Content-Length: 6\r\nContent-Length: 5\r\n\r\n123456",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": POST + b"Content-Length: +3\r\n\r\nabc",
    "two encodings": POST + CHUNKED + b"Transfer-Encoding: x\r\n\r\n0\r\n\r\n" + HIDDEN,
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks of HTTP/1.0": POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "a bare CR": GET + b"X-A: b\rX-B: c\r\n\r\n",
    "two hosts": GET + b"Host: elsewhere.example.com\r\n\r\n",
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "a header that is too large": GET + b"X-Big: " + b"a" * 40_000 + b"\r\n\r\n",
    "too many headers": GET + b"".join(b"X-%d: a\r\n" % n for n in range(4_000)) + b"\r\n",
    "an address that is too long": b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
}
# nginx's own words for some of them.
ALSO = {"an unknown encoding": {400, 501}, "an address that is too long": {400, 414}}

LENGTH_AND_CHUNKS = {
    "length first": POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "chunks first": POST + CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n" + HIDDEN,
}
BARE_LINE_FEEDS = {
    "in a header": GET.replace(b"\r\n", b"\n") + b"\n",
    "after a chunk": POST + CHUNKED + b"\r\n2\nab\n0\n\n",
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_it_refuses_what_is_in_doubt_and_closes(edge: Edge, name: str) -> None:
    reply = send(edge, REFUSED[name])

    assert len(reply.statuses) == 1, reply.data[-300:]
    assert reply.statuses[0] in ALSO.get(name, {400})
    assert reply.is_closed


@pytest.mark.parametrize("name", sorted(LENGTH_AND_CHUNKS))
def test_a_length_beside_chunks_never_hides_a_second_request(edge: Edge, name: str) -> None:
    reply = send(edge, LENGTH_AND_CHUNKS[name])

    # nginx refuses. HAProxy takes the length away, and the API refuses an empty body, or the key
    # that is missing; neither reads on.
    assert reply.statuses in ([400], [401])
    assert reply.is_closed
    if edge.name == "nginx":
        assert reply.statuses == [400]


@pytest.mark.parametrize("name", sorted(BARE_LINE_FEEDS))
def test_a_bare_line_feed_is_mended_before_the_product_sees_it(edge: Edge, name: str) -> None:
    reply = send(edge, BARE_LINE_FEEDS[name])

    # The web process' own parser refuses one with 400: it has been given a request in order.
    assert reply.statuses == [401]


def test_a_body_that_is_too_large_is_refused_in_the_words_of_the_api(edge: Edge) -> None:
    # nginx waits 5 s for what may still come.
    reply = send(edge, POST + b"Content-Length: 30000000\r\n\r\n", silence_s=10)

    assert reply.statuses == [413]
    assert reply.is_closed
    assert b'"code":"payload_too_large"' in reply.data


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "/metrics?x=1"])
def test_figures_are_not_for_the_outside(edge: Edge, client: httpx.Client, path: str) -> None:
    response = client.get(edge.url + path, headers={"Authorization": "Bearer scrape-me"})

    assert response.status_code == 404
    assert "tokenproxy_" not in response.text


def test_probes_and_pages_pass(edge: Edge, client: httpx.Client) -> None:
    alive, page = client.get(f"{edge.url}/healthz"), client.get(f"{edge.url}/packs/")

    assert (alive.status_code, page.status_code) == (200, 200)
    # The product's own, once.
    assert page.headers.get_list("strict-transport-security") == [
        "max-age=31536000; includeSubDomains; preload"
    ]


def test_a_key_that_comes_in_the_clear_is_refused_and_a_page_led_to_https(
    edge: Edge, client: httpx.Client
) -> None:
    call = client.post(f"{edge.plain_url}/v1/chat/completions", json={})
    page = client.get(f"{edge.plain_url}/packs/?a=b")

    assert (call.status_code, call.json()["error"]["code"]) == (403, "https_required")
    assert page.status_code == 301
    assert page.headers["location"] == f"https://{NAME}/packs/?a=b"


def call_from(address: str, edge: Edge, secret: str) -> httpx.Response:
    """Call from an address of this machine, and claim another one in every way there is."""
    transport = httpx.HTTPTransport(local_address=address, verify=False)
    claims = {
        "X-Forwarded-For": "203.0.113.5",
        "X-Real-IP": "203.0.113.5",
        "Forwarded": "for=203.0.113.5",
        "Authorization": f"Bearer {secret}",
        "Host": NAME,
    }
    with httpx.Client(transport=transport, timeout=30) as client:
        return client.get(f"{edge.url}/v1/models", headers=claims)


def test_a_client_cannot_choose_its_address(edge: Edge, shop: Shop) -> None:
    mine = shop.clerk.order(
        "open_account",
        email=f"mine-{edge.name}@example.com",
        credits=0,
        limits={"allowed_networks": ["127.0.0.9/32"]},
        caps={},
    )
    claimed = shop.clerk.order(
        "open_account",
        email=f"claimed-{edge.name}@example.com",
        credits=0,
        limits={"allowed_networks": ["203.0.113.5/32"]},
        caps={},
    )

    assert call_from("127.0.0.9", edge, mine["secret"]).status_code == 200
    refused = call_from("127.0.0.9", edge, claimed["secret"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "ip_not_authorized")


def test_only_an_edge_says_that_a_page_came_over_https(
    edge: Edge, stack: Stack, client: httpx.Client
) -> None:
    # Past the edge, from an address that is none of ours.
    with socket.create_connection(
        ("127.0.0.1", urlsplit(stack.url).port), source_address=("127.0.0.9", 0), timeout=30
    ) as stranger:
        stranger.sendall(b"GET /packs/ HTTP/1.0\r\n" + HOST + b"X-Forwarded-Proto: https\r\n\r\n")
        answer = stranger.recv(65_536)
    through = client.get(f"{edge.url}/packs/", headers={"X-Forwarded-Proto": "http"})

    assert answer.startswith(b"HTTP/1.1 301 ")
    assert through.status_code == 200


def test_it_answers_for_the_api_when_no_web_process_does(
    deserted: Edge, client: httpx.Client
) -> None:
    response = client.post(f"{deserted.url}/v1/chat/completions", json={})

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "service_unavailable"
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_its_own_answer_reaches_whoever_sends_a_body(deserted: Edge, version: str) -> None:
    # Over HTTP/2 an answer that overtakes the body may be cancelled with it.
    url = f"{deserted.url}/v1/chat/completions"
    options = ["--silent", "--insecure", "--max-time", "20", f"--http{version}"]
    data = ["--header", f"Host: {NAME}", "--data", '{"model": "gpt-4o"}']

    answers = [
        subprocess.run(
            [CURL, *options, *data, "--write-out", "\n%{http_code} %{http_version}", url],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for _ in range(3)
    ]

    for answer in answers:
        body, _, status = answer.rpartition("\n")
        assert status == f"503 {version}"
        assert '"service_unavailable"' in body


def test_haproxy_reads_the_file_for_compose(tmp_path: Path) -> None:
    check_compose_file(tmp_path)
