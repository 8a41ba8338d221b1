"""Prompt tokens of images, sound and documents, by the rules that OpenAI publishes for images.

https://platform.openai.com/docs/guides/images-vision#calculating-costs
"""

import base64
import binascii
import math
import struct
import wave
from collections import Counter
from io import BytesIO
from typing import Any

AUDIO = "audio"

# Tokens of an image as such, and of each square of 512 pixels, by the start of the model's name.
TILES = {
    "gpt-4o-mini": (2833, 5667),
    "gpt-5": (70, 140),
    "o1": (75, 150),
    "o3": (75, 150),
}
OTHER_TILES = (85, 170)
# Smaller models see patches of 32 pixels instead, each worth so many hundredths of a token.
PATCHES = {
    "gpt-4.1-mini": 162,
    "gpt-4.1-nano": 246,
    "gpt-5-mini": 162,
    "gpt-5-nano": 246,
    "o4-mini": 172,
}
PATCH_SIDE = 32
MOST_PATCHES = 1536
# An image that lies elsewhere is taken for one of this size, one that is no PNG for a small one.
TYPICAL_SIZE = (1024, 1024)
SMALL_SIZE = (32, 32)
LONG_SIDE = 2048
SHORT_SIDE = 768
TILE_SIDE = 512

AUDIO_TOKENS_PER_S = 10
# MP3 at 128 kbit/s, where the sound does not tell its length.
AUDIO_BYTES_PER_S = 16_000
DOCUMENT_CHARACTERS_PER_TOKEN = 4

PNG = b"\x89PNG\r\n\x1a\n"


def count_media(messages: list[dict[str, Any]], model: str) -> Counter[str]:
    """Prompt tokens of everything in a conversation that is not text, by kind."""
    counts: Counter[str] = Counter()
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] == "image_url":
                counts["image"] += _count_image(part["image_url"], model)
            elif part["type"] == "input_audio":
                counts[AUDIO] += _count_audio(part["input_audio"]["data"])
            elif part["type"] == "file":
                data = part["file"].get("file_data") or ""
                counts["file"] += len(data) // DOCUMENT_CHARACTERS_PER_TOKEN
    return counts


def _count_image(image: dict[str, Any], model: str) -> int:
    name = model.rpartition("/")[2]
    width, height = _size(image["url"])
    percent: int | None = next((v for key, v in PATCHES.items() if name.startswith(key)), None)
    if percent is not None:
        patches = math.ceil(width / PATCH_SIDE) * math.ceil(height / PATCH_SIDE)
        return math.ceil(min(patches, MOST_PATCHES) * percent / 100)
    base, tile = next((v for key, v in TILES.items() if name.startswith(key)), OTHER_TILES)
    return base if image.get("detail") == "low" else base + tile * _tiles(width, height)


def _tiles(width: float, height: float) -> int:
    longest = max(width, height, 1)
    if longest > LONG_SIDE:
        width, height = width * LONG_SIDE / longest, height * LONG_SIDE / longest
    shortest = max(min(width, height), 1)
    if shortest > SHORT_SIDE:
        width, height = width * SHORT_SIDE / shortest, height * SHORT_SIDE / shortest
    return math.ceil(width / TILE_SIDE) * math.ceil(height / TILE_SIDE)


def _size(url: str) -> tuple[int, int]:
    """Width and height in pixels, as far as they can be seen."""
    head, _, data = url.partition(";base64,")
    if not head.startswith("data:"):
        return TYPICAL_SIZE
    try:
        start = base64.b64decode(data[:44])
    except binascii.Error:
        return SMALL_SIZE
    if not start.startswith(PNG) or len(start) < 24:
        return SMALL_SIZE
    width, height = struct.unpack(">II", start[16:24])
    return int(width), int(height)


def _count_audio(data: str) -> int:
    try:
        sound = base64.b64decode(data)
    except binascii.Error:
        return 0
    try:
        with wave.open(BytesIO(sound)) as reader:
            seconds = float(reader.getnframes() / reader.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError):
        seconds = len(sound) / AUDIO_BYTES_PER_S
    return math.ceil(seconds * AUDIO_TOKENS_PER_S)
