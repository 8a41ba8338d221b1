"""Place a hold, or ask what would be held; count a request beforehand."""

from dataclasses import dataclass
from typing import NamedTuple

from billing.exceptions import (
    CapReached,
    InsufficientCredits,
    Limited,
    RateLimited,
    RequestTooLarge,
)
from billing.wallet import arguments
from billing.wallet.commands.command import Command, Reply, call, read_reply, refusal_of
from billing.wallet.keys import Spot
from billing.wallet.limits import Limits
from billing.wallet.usage import RequestFacts
from common.rates import RateState

# When to retry after BUSY: it is unknown when a running request will end.
BUSY_RETRY_MS = 500
# A reply with rates ends with two buckets, of requests and of tokens, with three figures each.
RATE_FIGURES = 6
LIMITED: dict[str, Limited] = {
    "BUSY": Limited.CONCURRENT,
    "LIMITED": Limited.REQUESTS,
    "EXHAUSTED": Limited.TOKENS,
}


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """The worst case of one request, to be held.

    The amount is `ceil((fixed + unit × units) / 1000)` credits for as many units as the balance
    affords, between `units_least` and `units_wanted`. A unit is one completion token per choice.
    It takes `fixed_tokens + unit_tokens × units` of the tokens per minute.
    """

    facts: RequestFacts
    wallet_version: int
    fixed_millicredits: int
    unit_millicredits: int
    units_wanted: int
    units_least: int
    fixed_tokens: int
    unit_tokens: int
    limits: Limits
    # Whether it was counted among the requests per minute before.
    is_precounted: bool = False


class Placed(NamedTuple):
    """A hold: what it keeps, how many completion tokens that pays for, and what is left."""

    held_credits: int
    units: int
    available_credits: int
    rate: RateState


@dataclass(frozen=True, slots=True)
class BacklogLimit:
    """How far behind the drain may be before a shard admits nothing new."""

    events: int
    age_ms: int


def place(hold: HoldRequest, *, lease_ms: int, limit: BacklogLimit) -> Command:
    """Hold the worst case of a request."""
    facts = hold.facts
    return call(
        "tp_place",
        Spot.of(facts.wallet_id, facts.request_id, facts.api_key_id),
        arguments.Place(
            request=facts.request_id,
            wallet_id=facts.wallet_id,
            known_version=hold.wallet_version,
            fixed_mc=hold.fixed_millicredits,
            unit_mc=hold.unit_millicredits,
            units_wanted=hold.units_wanted,
            units_least=hold.units_least,
            lease_ms=lease_ms,
            facts=facts.pack(),
            max_events=limit.events,
            max_age_ms=limit.age_ms,
            key_id=facts.api_key_id,
            month=facts.month,
            fixed_tokens=hold.fixed_tokens,
            unit_tokens=hold.unit_tokens,
            limits=hold.limits.packed,
            requests=int(not hold.is_precounted),
        ),
    )


def count_request(
    wallet_id: int, api_key_id: int, *, known_version: int, month: int, limits: Limits
) -> Command:
    """Take one of the requests per minute, for a request whose hold takes none."""
    return call(
        "tp_count_request",
        Spot.of(wallet_id, api_key_id=api_key_id),
        arguments.CountRequest(known_version=known_version, month=month, limits=limits.packed),
    )


def parse_counted(reply: Reply) -> list[int]:
    """Read the answer to `count_request`, or to another call that is counted.

    Returns its figures. Raises the WalletError that it means.
    """
    status, figures = read_reply(reply)
    if status in LIMITED:
        raise rate_refusal(status, figures)
    if status != "OK":
        raise refusal_of(status)
    return figures


def quote(hold: HoldRequest, *, lease_ms: int, limit: BacklogLimit) -> Command:
    """Ask what `place` would answer, without holding it. `parse_place` reads the answer."""
    return place(hold, lease_ms=lease_ms, limit=limit)._replace(function="tp_quote")


def parse_place(reply: Reply) -> Placed:
    """Read the answer to `place` or `quote`. Raises the WalletError that it means."""
    status, figures = read_reply(reply)
    if status == "OK":
        held, units, available, *rates = figures
        return Placed(held, units, available, RateState.read(rates))
    if status == "INSUFFICIENT":
        raise InsufficientCredits(available_credits=figures[0])
    if status == "CAPPED":
        is_members, is_monthly, cap, left = figures
        raise CapReached(
            is_members=bool(is_members),
            is_monthly=bool(is_monthly),
            cap_credits=cap,
            left_credits=left,
        )
    if status == "TOO_LARGE":
        raise RequestTooLarge(tokens_per_minute=figures[0], tokens=figures[1])
    if status in LIMITED:
        raise rate_refusal(status, figures)
    raise refusal_of(status)


def rate_refusal(status: str, figures: list[int]) -> RateLimited:
    """Return the error that a status of `LIMITED` means."""
    is_wallets, limit, *rest = figures
    retry_after_ms, *rates = rest if len(rest) > RATE_FIGURES else (BUSY_RETRY_MS, *rest)
    return RateLimited(
        what=LIMITED[status],
        is_wallets=bool(is_wallets),
        limit=limit,
        retry_after_ms=retry_after_ms,
        rate=RateState.read(rates),
    )
