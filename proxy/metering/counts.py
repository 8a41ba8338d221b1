"""Counts of texts that are remembered: an agent sends its whole conversation again with each turn.

No text is kept, only a digest of it with its count, under a key that this process made up. A wallet
meets its own counts alone: how quickly a text is counted would tell others whether it was sent.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from proxy.metering.encodings import Encoding, count_text

# Counts texts as one sum.
Count = Callable[[Encoding, tuple[str, ...]], int]

# Shorter ones are counted sooner than their digest is made.
SHORT_CHARS = 256
DIGEST_BYTES = 16
# About 200 bytes each.
MOST_KNOWN = 20_000


def count_all(encoding: Encoding, texts: tuple[str, ...]) -> int:
    """Count the tokens of texts that are read one by one."""
    return sum(count_text(text, encoding) for text in texts if text)


class KnownCounts:
    """Counts of long texts by their digests, the latest used. One per process; thread-safe."""

    def __init__(self, *, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._secret = os.urandom(32)
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, owner: int) -> Count:
        """Return what counts the texts of one wallet."""

        def count(encoding: Encoding, texts: tuple[str, ...]) -> int:
            if sum(map(len, texts)) < SHORT_CHARS:
                return count_all(encoding, texts)
            return self._count(owner, encoding, texts)

        return count

    def _count(self, owner: int, encoding: Encoding, texts: tuple[str, ...]) -> int:
        name = self._digest(owner, encoding, texts)
        with self._lock:
            if (found := self._known.get(name)) is not None:
                self._known.move_to_end(name)
                return found
        counted = count_all(encoding, texts)
        with self._lock:
            self._known[name] = counted
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return counted

    def _digest(self, owner: int, encoding: Encoding, texts: tuple[str, ...]) -> bytes:
        named = f"{owner} {encoding.name}".encode()
        digest = hashlib.blake2b(named, key=self._secret, digest_size=DIGEST_BYTES)
        for text in texts:
            raw = text.encode()
            # With its length, since texts that are cut elsewhere have other counts.
            digest.update(b" %d " % len(raw))
            digest.update(raw)
        return digest.digest()
