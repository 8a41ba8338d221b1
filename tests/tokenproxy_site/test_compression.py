"""Pages, styles and scripts are compressed, and the landing is light."""

import gzip
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse
from django.test import Client, RequestFactory

from accounts.models import User
from tests.conftest import signed_in
from tokenproxy_site.compression import CompressionMiddleware

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
GZIP = {"accept-encoding": "gzip, deflate, br, zstd"}
LANDING_BYTES = 80_000
# With the pictures further down, in one theme: browsers load what is near before it is reached.
WHOLE_LANDING_BYTES = 120_000
# What a browser is told beside each file: measured, and rounded up.
HEADER_BYTES = 600
REFERENCE = re.compile(r"""(?:href|src)="(/static/[^"#]+)""")
FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)
RANGE = re.compile(r"U\+([0-9A-F]+)(?:-([0-9A-F]+))?")
# Loaded when a reader comes near.
LAZY = re.compile(r"<img[^>]*loading=\"lazy\"[^>]*>")
INCLUDE = re.compile(r"""\{% (?:include|extends) "([^"]+)""")

SPEAKS = re.compile(r"\shx-[a-z]+=")

pytestmark = pytest.mark.django_db


def get(path: str, **headers: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of an answer as it crosses the wire."""
    response = Client().get(path, headers={**GZIP, **headers})
    body = b"".join(response)
    return {name.lower(): value for name, value in response.items()}, body


def read(path: str) -> str:
    headers, body = get(path)
    return (gzip.decompress(body) if "content-encoding" in headers else body).decode()


@pytest.mark.parametrize(
    "path", ["/", "/docs/", "/static/css/base.css", "/static/js/tabs.js", "/static/img/icons.svg"]
)
def test_a_text_is_compressed_for_who_reads_gzip(path: str) -> None:
    headers, body = get(path)
    plain, _ = get(path, **{"accept-encoding": "identity"})

    assert headers["content-encoding"] == "gzip"
    assert "accept-encoding" in headers["vary"].lower()
    assert len(gzip.decompress(body)) > len(body)
    assert "content-encoding" not in plain


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_stream_is_one_member_of_which_each_chunk_goes_out_at_once(encoding: str) -> None:
    """Browsers leave out what comes after the first member."""
    request = RequestFactory().get("/", headers={"accept-encoding": encoding})

    async def lines() -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"line {number}\n".encode() * 100

    async def stream() -> list[bytes]:
        answer = StreamingHttpResponse(lines(), content_type="text/csv")
        CompressionMiddleware(lambda _: answer)(request)
        return [chunk async for chunk in answer]

    chunks = async_to_sync(stream)()

    if encoding == "gzip":
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        chunks = [member.decompress(chunk) for chunk in chunks]
        assert member.eof
        assert member.unused_data == b""
    assert chunks[:3] == [f"line {number}\n".encode() * 100 for number in range(3)]


def test_a_font_is_sent_as_it_is() -> None:
    headers, body = get("/static/fonts/inter/inter-latin-wght-normal.woff2")

    assert "content-encoding" not in headers
    assert body.startswith(b"wOF2")


def test_a_range_of_a_text_is_sent_as_it_is() -> None:
    headers, body = get("/static/css/base.css", range="bytes=0-299")

    assert "content-encoding" not in headers
    assert body == (ROOT / "static/css/base.css").read_bytes()[:300]


def test_the_same_page_has_another_length_each_time(alice: User) -> None:
    client = signed_in(alice)

    lengths = {len(client.get("/dashboard/keys/", headers=GZIP).content) for _ in range(20)}

    assert len(lengths) > 5


def landing() -> Iterator[tuple[str, int]]:
    """Yield what a browser loads for the landing, and how many bytes cross the wire."""
    page = read("/")
    paths = dict.fromkeys(REFERENCE.findall(LAZY.sub("", page)))
    shown = {ord(character) for character in page}
    for path in list(paths):
        if path.endswith("fonts.css"):
            paths |= dict.fromkeys(fonts_for(shown, read(path)))
    for path in ["/", *paths]:
        yield path, len(get(path)[1]) + HEADER_BYTES


def fonts_for(shown: set[int], style: str) -> Iterator[str]:
    """Yield the files of the faces that some of these characters are in."""
    for face in FACE.findall(style):
        spans = [(int(low, 16), int(high or low, 16)) for low, high in RANGE.findall(face)]
        if any(low <= character <= high for character in shown for low, high in spans):
            yield "/static/" + face.split('url("../')[1].split('"')[0]


def test_the_landing_is_light() -> None:
    loaded = dict(landing())

    assert "/static/fonts/inter/inter-latin-wght-normal.woff2" in loaded
    assert "/static/css/pages/home.css" in loaded
    assert sum(loaded.values()) <= LANDING_BYTES, loaded


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_landings_pictures_are_light(language: str, theme: str) -> None:
    page = Client().get("/", headers={"accept-language": language}).content.decode()
    pictures = [
        path
        for each in LAZY.findall(page)
        for path in REFERENCE.findall(each)
        if path.endswith(f"{language}-{theme}.avif")
    ]

    # A browser keeps their room free before they come.
    assert all('width="' in each and 'height="' in each for each in LAZY.findall(page))
    assert len(pictures) == 2
    whole = sum(size for _, size in landing()) + sum(
        len(get(path)[1]) + HEADER_BYTES for path in pictures
    )
    assert whole <= WHOLE_LANDING_BYTES


def parts_of(name: str, texts: dict[str, str], seen: set[str]) -> set[str]:
    """Return a template with all that it includes and extends."""
    if name in texts and name not in seen:
        seen.add(name)
        for part in INCLUDE.findall(texts[name]):
            parts_of(part, texts, seen)
    return seen


def test_every_page_that_speaks_htmx_loads_it() -> None:
    files = TEMPLATES.rglob("*.html")
    texts = {str(path.relative_to(TEMPLATES)): path.read_text() for path in files}
    pages = [parts_of(name, texts, set()) for name in texts if "{% extends" in texts[name]]

    speaking = [page for page in pages if any(SPEAKS.search(texts[part]) for part in page)]

    assert len(speaking) >= 5
    assert [page for page in speaking if "components/_htmx.html" not in page] == []
