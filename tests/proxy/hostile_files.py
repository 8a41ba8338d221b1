"""Files that tell less than a model reads of them: small to send, and large to read."""

import base64
import struct
import zlib


def pdf(pages: int) -> bytes:
    """A PDF of so many pages that all show the same line, which is compressed once."""
    line = zlib.compress(b"BT /F1 9 Tf 20 20 Td (word word word word) Tj ET")
    kids = b" ".join(b"3 0 R" for _ in range(pages))
    tree = zlib.compress(b"<</Type/Pages/Count %d/Kids[%b]>>" % (pages, kids))
    return b"%PDF-1.7\n" + line + tree


def gif(width: int, height: int, *, screen: tuple[int, int] = (1, 1), frames: int = 1) -> bytes:
    """A GIF whose frames are larger than the screen that its header tells."""
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, width, height) + b"\x00\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HH", *screen) + b"\x00\x00\x00" + frame * frames + b"\x3b"


def jpeg(width: int, height: int) -> bytes:
    """A JPEG in which a reader that takes a marker without a length for a segment sees 1 by 1."""
    true = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    decoy = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 1, 1) + b"\x01\x01\x11\x00"
    hidden = b"\xff\xd0" + struct.pack(">H", 2 + len(true)) + true
    return b"\xff\xd8" + hidden + decoy + b"\xff\xd9"


def webp(width: int, height: int) -> bytes:
    """A WebP whose canvas is 1 by 1 and whose picture is larger."""
    picture = b"VP8 " + bytes(4) + b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height)
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(10)
    return b"RIFF\x00\x00\x00\x00WEBP" + canvas + picture


def svg() -> bytes:
    return b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>'


def url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
