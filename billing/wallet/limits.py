"""The limits of an API key, its member and its wallet, as `place` takes them, and their figures."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

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


class Caps(NamedTuple):
    """The credits that a member may spend in all and in a calendar month (UTC). None: no cap."""

    lifetime_credits: int | None = None
    monthly_credits: int | None = None


NO_CAPS = Caps()


@dataclass(frozen=True)
class Limits:
    """The limits of a key and of its wallet, and the credits that key and member may spend."""

    key: Allowance
    wallet: Allowance
    lifetime_cap_credits: int | None = None
    monthly_cap_credits: int | None = None
    # Of all keys that the member made, whatever became of them.
    member_caps: Caps = NO_CAPS

    @cached_property
    def is_capped(self) -> bool:
        """Whether more than the balance limits what may be spent."""
        caps = (self.lifetime_cap_credits, self.monthly_cap_credits, *self.member_caps)
        return any(cap is not None for cap in caps)

    # Computed once for a cached key, not for each of its requests.
    @cached_property
    def packed(self) -> str:
        """Return the limits as `place` takes them: one argument, which Redis reads once."""
        caps = (self.lifetime_cap_credits, self.monthly_cap_credits, *self.member_caps)
        numbers = (
            *self.key.as_tuple(),
            *self.wallet.as_tuple(),
            *(NO_CAP if cap is None else cap for cap in caps),
        )
        return " ".join(map(str, numbers))


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """What a key or a member has spent and holds: in all, and of requests begun this month."""

    open_requests: int
    held_credits: int
    spent_credits: int
    month_held_credits: int
    month_spent_credits: int
