"""The facts of one request, as they travel from the web process through Redis to the ledger.

They are written twice before PostgreSQL has them, in the Redis stream and in the journal, so both
have one compact form: a JSON array in the order of the fields.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Self

import orjson

# A request that counts for no member.
NO_MEMBER = 0


def month_of(milliseconds: int) -> int:
    """Return the month of an instant in UTC, such as 202611."""
    at = time.gmtime(milliseconds // 1_000)
    return at.tm_year * 100 + at.tm_mon


def month_end(month: int) -> datetime:
    """Return the instant (UTC) at which a month ends and the next begins."""
    year, number = divmod(month, 100)
    return datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What is known when the hold is placed. Instants are milliseconds since 1970, UTC."""

    request_id: str
    wallet_id: int
    api_key_id: int
    price_id: int
    model_name: str
    endpoint: str
    is_stream: bool
    started_at_ms: int
    # The person whose caps it counts for; 0 if the key is nobody's any more, None in the facts of a
    # release that did not say: then it is who made the key. Last, where the library finds it.
    member_id: int | None = None

    @property
    def month(self) -> int:
        """Return the month whose cap this counts for, such as 202611."""
        return month_of(self.started_at_ms)

    def as_tuple(self) -> tuple[object, ...]:
        """Return the fields in order. `dataclasses.astuple` takes 20 times as long: it copies."""
        return _facts_of(self)

    def pack(self) -> bytes:
        """Return the compact form."""
        return orjson.dumps(self.as_tuple())

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read the compact form. Raises ValueError or TypeError if it is not one."""
        return cls(*orjson.loads(packed))


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a request ended and what it should be charged. `target_credits` is what it cost.

    `outcome` and `source` are values of `UsageRecord.Outcome` and `.Source`.
    """

    target_credits: int
    outcome: str
    source: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    provider_name: str
    attempts: int
    ended_at_ms: int
    first_byte_ms: int | None = None
    cache_write_tokens: int = 0
    prompt_audio_tokens: int = 0
    prompt_image_tokens: int = 0
    completion_audio_tokens: int = 0
    # What it costs us at the provider, in billionths of the currency. None if that is not known.
    cost_nanos: int | None = None

    @property
    def used_tokens(self) -> int:
        """Return how many tokens count against the tokens per minute."""
        return self.prompt_tokens + self.completion_tokens

    def as_tuple(self) -> tuple[object, ...]:
        """Return the fields in order."""
        return _settlement_of(self)

    def pack(self) -> bytes:
        """Return the compact form."""
        return orjson.dumps(self.as_tuple())

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read the compact form. Raises ValueError or TypeError if it is not one."""
        return cls(*orjson.loads(packed))


_facts_of: Callable[[RequestFacts], tuple[object, ...]] = attrgetter(
    *(field.name for field in fields(RequestFacts))
)
_settlement_of: Callable[[Settlement], tuple[object, ...]] = attrgetter(
    *(field.name for field in fields(Settlement))
)
