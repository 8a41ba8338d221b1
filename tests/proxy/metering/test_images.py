import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.metering.images import count_image, find_size, most_of_image


def data_url(header: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(header).decode()


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + b"\x08\x06"


def jpeg(width: int, height: int, *, metadata: int = 0) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", 2 + metadata) + b"\xff\xc0" * (metadata // 2)
    huffman = b"\xff\xc4\x00\x04ab"
    frame = b"\xff\xff\xc2\x00\x11\x08" + struct.pack(">HH", height, width) + b"\x03"
    return b"\xff\xd8" + exif + huffman + frame


def webp(chunk: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBP" + chunk


HEADERS = {
    "png": png(640, 480),
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480) + b"\xf7",
    "jpeg": jpeg(640, 480),
    "jpeg behind a preview": jpeg(640, 480, metadata=60_000),
    "webp lossy": webp(b"VP8 " + bytes(10) + struct.pack("<HH", 640 | 0x4000, 480)),
    "webp lossless": webp(b"VP8L" + bytes(4) + b"/" + struct.pack("<I", 639 | 479 << 14)),
    "webp extended": webp(b"VP8X" + bytes(8) + b"\x7f\x02\x00" + b"\xdf\x01\x00"),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_it_reads_the_size_from_the_header(header: bytes) -> None:
    assert find_size(data_url(header + b"\x00")) == (640, 480)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/cat.png",
        "data:image/png;base64",
        "data:image/png;base64,",
        "data:image/png;base64,!!!!",
        "data:text/plain,hello",
        data_url(png(0, 480)),
        data_url(png(640, 480)[:20]),
        data_url(b"\xff\xd8\xff\xe1\x00"),
        data_url(b"\xff\xd8" + b"\xff" * 50),
        data_url(b"BM"),
    ],
)
def test_it_admits_when_it_sees_no_size(url: str) -> None:
    assert find_size(url) is None


@given(st.sampled_from(list(HEADERS.values())), st.integers(0, 200), st.binary(max_size=20))
def test_it_survives_any_header(header: bytes, cut: int, rest: bytes) -> None:
    size = find_size(data_url(header[:cut] + rest))

    assert size is None or min(size) > 0


@pytest.mark.parametrize(
    ("model", "size", "detail", "cost"),
    [
        # The published examples.
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4.1-mini", (1024, 1024), "high", -(-1024 * 162 // 100)),
        ("gpt-4.1-mini", (1800, 2400), "high", -(-1452 * 162 // 100)),
        # And by the rules.
        ("gpt-4o", (128, 64), "auto", 85 + 170),
        ("gpt-4o-mini", (512, 512), "high", 2833 + 5667),
        ("gpt-5", (1024, 1024), "high", 70 + 4 * 140),
        ("o1", (1024, 1024), "low", 75),
        ("ft:gpt-4o:acme::1", (1024, 1024), "high", 765),
        ("somebody/llava", (1024, 1024), "high", 765),
    ],
)
def test_it_counts_by_the_published_rules(
    model: str, size: tuple[int, int], detail: str, cost: int
) -> None:
    assert count_image(data_url(png(*size)), detail=detail, model=model) == cost


def test_it_holds_for_the_largest_that_a_model_sees() -> None:
    assert most_of_image("auto", ["gpt-4o"]) == most_of_image("high", ["gpt-4o"]) == 85 + 8 * 170
    assert most_of_image("low", ["gpt-4o"]) == 85
    assert most_of_image("high", ["gpt-4.1-mini"]) == -(-1536 * 162 // 100)


def test_it_holds_for_the_model_that_counts_most() -> None:
    assert most_of_image("high", ["gpt-4o", "azure/gpt-4o-mini"]) == 2833 + 8 * 5667


@pytest.mark.parametrize(
    ("detail", "models"),
    [
        ("high", ["llava"]),
        ("low", ["gpt-4o", "llava"]),
        # A later model than the rules are for, and a detail that they do not have.
        ("high", ["gpt-5.4"]),
        ("original", ["gpt-5"]),
        ("high", []),
    ],
)
def test_it_knows_no_most_without_a_rule(detail: str, models: list[str]) -> None:
    assert most_of_image(detail, models) is None


@given(
    st.integers(1, 100_000),
    st.integers(1, 100_000),
    st.sampled_from(["gpt-4o", "gpt-4o-mini", "gpt-4.1-nano", "gpt-5", "o4-mini"]),
    st.sampled_from(["auto", "low", "high"]),
)
def test_it_never_counts_more_than_it_held(
    width: int, height: int, model: str, detail: str
) -> None:
    url = data_url(png(width, height))

    cost = count_image(url, detail=detail, model=model)

    assert 0 < cost <= (most_of_image(detail, [model]) or 0)
