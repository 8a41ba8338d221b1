"""The secret of an API key: how it is made, checked without a look-up, and stored.

A secret is `tp_live_`, 32 random characters of base62 (190.5 bits) and 6 characters that are the
CRC-32 of all before them in base62: a typo is refused without asking the database.
"""

import hashlib
import secrets
import zlib
from dataclasses import dataclass

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "tp_live_"
RANDOM_CHARS = 32
CHECKSUM_CHARS = 6
LENGTH = len(PREFIX) + RANDOM_CHARS + CHECKSUM_CHARS


@dataclass(frozen=True)
class Secret:
    """A new secret with what is stored of it. `text` is shown once."""

    text: str
    digest: str
    hint: str


def make_secret() -> Secret:
    """Return a new secret from the system's random source."""
    body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARS))
    text = body + _checksum(body)
    return Secret(text=text, digest=digest_of(text), hint=hint_of(text))


def hint_of(text: str) -> str:
    """Return the first and last characters, by which people tell secrets apart."""
    return f"{text[: len(PREFIX) + 4]}…{text[-4:]}"


def is_well_formed(text: str) -> bool:
    """Return whether this can be a secret at all: prefix, length and checksum."""
    body, checksum = text[:-CHECKSUM_CHARS], text[-CHECKSUM_CHARS:]
    return len(text) == LENGTH and text.startswith(PREFIX) and _checksum(body) == checksum


def digest_of(text: str) -> str:
    """Return the SHA-256 of a secret in hex, which is what the database holds.

    A fast hash is enough: the secret has 190 random bits, so there is nothing to guess.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("utf-8", "surrogatepass"))
    digits = []
    for _ in range(CHECKSUM_CHARS):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
