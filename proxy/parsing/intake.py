"""What a provider takes of a request, and how it may know the customer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

from proxy.parsing.extras import DEFAULT_EXTRAS

# OpenAI's limit for these fields is 64 characters.
DIGEST_BYTES = 24
# What a client may give to tell its own users and prompts apart.
USER = "user"
CUSTOMER_MARKS = (USER, "safety_identifier")
HIDDEN = (*CUSTOMER_MARKS, "prompt_cache_key")
CACHE_SALT = "cache_salt"


@dataclass(frozen=True, slots=True)
class Intake:
    """What a provider takes beyond the specification, as staff set it."""

    extras: frozenset[str] = frozenset(DEFAULT_EXTRAS)
    # The field in which it is told a mark of the customer if the client gives none; "" for none.
    customer_mark: str = ""
    # Whether it keeps the prompt caches of customers apart by vLLM's `cache_salt`.
    salts_caches: bool = False
    # Whether it takes images as data only, and fetches none.
    takes_data_urls_only: bool = False


@cache
def customers_key(secret: str) -> bytes:
    """Derive the key that customers are told apart by."""
    return blake2b(secret.encode(), person=b"customers").digest()


@dataclass(frozen=True, slots=True)
class Customer:
    """A wallet as providers know it: by a keyed hash, so that customers can't meet in a value."""

    key: bytes
    wallet_id: int

    def hide(self, value: str) -> str:
        """Return what a provider is told instead of a client's own value."""
        return self._digest(value, b"value")

    def mark(self) -> str:
        """Return what tells this customer from others where the client gives nothing."""
        return self._digest("", b"mark")

    def cache_salt(self) -> str:
        """Return the salt of this customer's prompt caches."""
        return self._digest("", b"cache")

    def _digest(self, value: str, purpose: bytes) -> str:
        told = f"{self.wallet_id}:{value}".encode()
        return blake2b(told, key=self.key, digest_size=DIGEST_BYTES, person=purpose).hexdigest()
