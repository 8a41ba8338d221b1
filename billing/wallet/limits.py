"""The limits of an API key and its wallet, as `place` takes them, and the key's figures."""

from dataclasses import dataclass
from functools import cached_property

NO_CAP = -1


@dataclass(frozen=True, slots=True)
class Allowance:
    """Requests at once, and requests and tokens per minute, which refill smoothly."""

    requests_per_minute: int
    tokens_per_minute: int
    concurrent_requests: int

    def as_tuple(self) -> tuple[int, int, int]:
        """Return the limits in the order of `place`."""
        return (self.requests_per_minute, self.tokens_per_minute, self.concurrent_requests)


@dataclass(frozen=True)
class Limits:
    """The limits of a key and of its wallet, and the credits that the key may spend."""

    key: Allowance
    wallet: Allowance
    lifetime_cap_credits: int | None = None
    monthly_cap_credits: int | None = None

    @property
    def is_capped(self) -> bool:
        """Whether more than the balance limits what may be spent."""
        return self.lifetime_cap_credits is not None or self.monthly_cap_credits is not None

    # Computed once for a cached key, not for each of its requests.
    @cached_property
    def packed(self) -> str:
        """Return the limits as `place` takes them: one argument, which Redis reads once."""
        caps = (self.lifetime_cap_credits, self.monthly_cap_credits)
        numbers = (
            *self.key.as_tuple(),
            *self.wallet.as_tuple(),
            *(NO_CAP if cap is None else cap for cap in caps),
        )
        return " ".join(map(str, numbers))


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """What a key has spent and holds in credits: in all, and of requests begun this month."""

    open_requests: int
    held_credits: int
    spent_credits: int
    month_held_credits: int
    month_spent_credits: int
