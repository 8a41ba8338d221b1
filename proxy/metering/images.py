"""The prompt tokens of an image, by the rules that OpenAI publishes per model family.

Source: the guide "Images and vision", section "Calculating costs". Tiles: scaled down to fit
2048 by 2048, then until the shorter side is 768, then `base + tile` per 512-pixel square; `low`
detail costs `base`. Patches: 32-pixel squares, at most 1536, times the family's factor, whatever
the detail.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, sqrt

from proxy.metering.encodings import base_model

MAX_PATCHES = 1536

# The size that an estimate assumes for a remote image, which is not fetched.
_TYPICAL_SIZE = (1024, 1024)
# The size with the most tiles: 768 by 2048.
_LARGEST_SIZE = (768, 2048)
# The details of the published rules. `original` reads as many patches as the model likes.
_RULED_DETAILS = frozenset({"auto", "low", "high"})
# JPEG puts its size behind the metadata, which may hold a preview; multiple of 4 for base64.
_HEADER_CHARS = 512 * 1024


@dataclass(frozen=True, slots=True)
class Tiles:
    base: int
    tile: int

    def count(self, size: tuple[int, int], *, detail: str) -> int:
        return self.base if detail == "low" else self.base + self.tile * _tiles(*size)

    def most(self, *, detail: str) -> int:
        return self.count(_LARGEST_SIZE, detail=detail)


@dataclass(frozen=True, slots=True)
class Patches:
    # In hundredths, so that no charge depends on a float.
    factor_percent: int

    def count(self, size: tuple[int, int], *, detail: str) -> int:
        return self._scaled(_patches(*size))

    def most(self, *, detail: str) -> int:
        return self._scaled(MAX_PATCHES)

    def _scaled(self, patches: int) -> int:
        return -(-patches * self.factor_percent // 100)


# The first that a name is, or begins with before a hyphen, decides. A later model, such as gpt-5.4,
# has rules of its own.
_RULES: tuple[tuple[str, Tiles | Patches], ...] = (
    ("gpt-5-mini", Patches(162)),
    ("gpt-5-nano", Patches(246)),
    ("gpt-5", Tiles(70, 140)),
    ("gpt-4.1-mini", Patches(162)),
    ("gpt-4.1-nano", Patches(246)),
    ("gpt-4.1", Tiles(85, 170)),
    ("gpt-4o-mini", Tiles(2833, 5667)),
    ("gpt-4o", Tiles(85, 170)),
    ("o4-mini", Patches(172)),
    ("o1", Tiles(75, 150)),
    ("o3", Tiles(75, 150)),
    ("gpt-4", Tiles(85, 170)),
    ("chatgpt-4o", Tiles(85, 170)),
)
_ESTIMATE_FOR_STRANGERS = Tiles(85, 170)


def count_image(url: str, *, detail: str, model: str) -> int:
    """Estimate an image's prompt tokens. A remote image counts as 1024 by 1024."""
    rule = _rule(model) or _ESTIMATE_FOR_STRANGERS
    return rule.count(find_size(url) or _TYPICAL_SIZE, detail=detail)


def most_of_image(detail: str, models: Iterable[str]) -> int | None:
    """Return the most prompt tokens that any image costs at one of the models.

    None if a model's rules are not known. The size that a file tells is not asked: a decoder may
    see another one, as with frames of a GIF that are larger than its screen.
    """
    if detail not in _RULED_DETAILS:
        return None
    rules = [_rule(model) for model in models]
    # `auto` lets the model choose, and high detail costs more.
    known = [rule.most(detail=detail) for rule in rules if rule is not None]
    return max(known) if known and len(known) == len(rules) else None


def find_size(url: str) -> tuple[int, int] | None:
    """Read width and height from the image in a base64 data URL; None if that is impossible."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    prefix = data[:_HEADER_CHARS]
    try:
        header = binascii.a2b_base64(prefix[: len(prefix) // 4 * 4])
        size = _read_size(header)
    except (ValueError, struct.error, IndexError):
        return None
    return size if size and min(size) > 0 else None


def _rule(model: str) -> Tiles | Patches | None:
    # With the hyphen, a name that goes on with another version does not fit.
    base = base_model(model) + "-"
    return next((rule for prefix, rule in _RULES if base.startswith(f"{prefix}-")), None)


def _tiles(width: int, height: int) -> int:
    # Fractions of a pixel round up, so that the result is never below what is billed.
    longer, shorter = max(width, height), min(width, height)
    if longer > 2048:
        longer, shorter = 2048, max(1, -(-shorter * 2048 // longer))
    if shorter > 768:
        longer, shorter = -(-longer * 768 // shorter), 768
    return -(-longer // 512) * -(-shorter // 512)


def _patches(width: int, height: int) -> int:
    whole = -(-width // 32) * -(-height // 32)
    if whole <= MAX_PATCHES:
        return whole
    shrink = sqrt(MAX_PATCHES * 32**2 / (width * height))
    across, down = width * shrink / 32, height * shrink / 32
    # Shrunk again until a whole number of patches fits one side; slivers count as the limit.
    fit = min(floor(across) / across, floor(down) / down)
    return min(
        MAX_PATCHES, ceil(round(across * fit, 6)) * ceil(round(down * fit, 6)) or MAX_PATCHES
    )


def _read_size(header: bytes) -> tuple[int, int] | None:
    if header.startswith(b"\x89PNG\r\n\x1a\n"):
        return _pair(">II", header, 16)
    if header.startswith((b"GIF87a", b"GIF89a")):
        return _pair("<HH", header, 6)
    if header.startswith(b"RIFF") and header[8:12] == b"WEBP":
        return _read_webp(header)
    if header.startswith(b"\xff\xd8"):
        return _read_jpeg(header)
    return None


def _read_webp(header: bytes) -> tuple[int, int] | None:
    kind = header[12:16]
    if kind == b"VP8 ":
        width, height = _pair("<HH", header, 26)
        # The two upper bits are a scale for display.
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", header, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        width = int.from_bytes(header[24:27], "little")
        height = int.from_bytes(header[27:30], "little")
        return (width + 1, height + 1) if len(header) >= 30 else None
    return None


def _read_jpeg(header: bytes) -> tuple[int, int] | None:
    position = 2
    while header[position] == 0xFF:
        marker = header[position + 1]
        if marker == 0xFF:
            # Any number of fill bytes may precede a marker.
            position += 1
            continue
        # Start of frame; C4, C8 and CC are tables and reserved.
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = _pair(">HH", header, position + 5)
            return width, height
        (length,) = struct.unpack_from(">H", header, position + 2)
        position += 2 + length
    return None


def _pair(layout: str, header: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, header, offset)
    return int(first), int(second)
