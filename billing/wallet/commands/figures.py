"""Push, read and debit a wallet's figures; count a member; inquire about wallet, key and member."""

from dataclasses import dataclass
from typing import NamedTuple

from billing.wallet import arguments
from billing.wallet.commands.command import Argument, Command, Reply, call, parse_ok
from billing.wallet.commands.placing import RATE_FIGURES, parse_counted
from billing.wallet.keys import Spot
from billing.wallet.limits import KeyFigures, Limits
from billing.wallet.usage import NO_MEMBER
from common.rates import RateState


@dataclass(frozen=True, slots=True)
class Balance:
    """A wallet's figures in credits. `available` is what a new hold could take now."""

    available_credits: int
    held_credits: int
    posted_credits: int
    debt_credits: int
    is_live: bool = True


class Inquiry(NamedTuple):
    """Where a wallet, one of its keys and its member stand, and the rate of their inquiries.

    A member who has no cap may be all zeros: nobody counts them.
    """

    balance: Balance
    figures: KeyFigures
    member: KeyFigures
    rate: RateState


def push(
    wallet_id: int, *, posted: int, credited: int, debt: int, state: str, version: int
) -> Command:
    """Tell Redis about credits, debt, state and key changes that PostgreSQL decided."""
    given = arguments.Push(posted, credited, debt, state, version)
    return call("tp_push", Spot.of(wallet_id), given)


def read(wallet_id: int) -> Command:
    """Read a wallet's figures."""
    return call("tp_read", Spot.of(wallet_id))


def parse_read(reply: Reply) -> Balance:
    """Read the answer to `read`. Raises WalletMissing, WalletRecovering."""
    return _balance(parse_ok(reply))


def inquire(
    wallet_id: int,
    api_key_id: int,
    *,
    known_version: int,
    month: int,
    limits: Limits,
    member_id: int | None = None,
    count: int = 1,
) -> Command:
    """Read a wallet's, a key's and its member's figures, if the caller knows `known_version`.

    Counts as `count` inquiries: 1 for a client's request, 0 for one that asks again. A minute
    allows as many inquiries as `limits` allow requests.
    """
    return call(
        "tp_inquire",
        Spot.of(wallet_id, api_key_id=api_key_id),
        arguments.Inquire(
            known_version=known_version,
            month=month,
            inquiries=count,
            limits=limits.packed,
            wallet_id=wallet_id,
            member_id=member_id or NO_MEMBER,
        ),
    )


def parse_inquiry(reply: Reply) -> Inquiry:
    """Read the answer to `inquire`.

    Raises RateLimited, WalletStale, WalletMissing, MemberUncounted, WalletRecovering.
    """
    figures = parse_counted(reply)
    return Inquiry(
        _balance(figures[:5]),
        KeyFigures(*figures[5:10]),
        KeyFigures(*figures[10:15]),
        RateState.read(figures[-RATE_FIGURES:]),
    )


def count_member(
    wallet_id: int,
    member_id: int,
    *,
    known_version: int,
    api_key_ids: list[int],
    elsewhere: dict[int, int],
) -> Command:
    """Begin to count a member by the figures of their API keys. Safe to repeat.

    `elsewhere` is what keys that are not theirs any more spent for them, by month. The wallet's
    version was read before both.
    """
    given: list[Argument] = [
        *arguments.CountMember(
            wallet_id=wallet_id,
            member_id=member_id,
            known_version=known_version,
            n_keys=len(api_key_ids),
            n_months=len(elsewhere),
        ),
        *api_key_ids,
    ]
    for row in elsewhere.items():
        given += arguments.MonthSpent(*row)
    return call("tp_count_member", Spot.of(wallet_id), tuple(given))


def debit(
    wallet_id: int,
    reference: str,
    *,
    amount_credits: int,
    snapshot: tuple[int, int] | None = None,
) -> Command:
    """Take as much of an amount that is not usage as is available.

    An expiry gives a `snapshot`: posted and credited as they were when its lot was read.
    """
    posted, credited = snapshot or (-1, -1)
    return call(
        "tp_debit",
        Spot.of(wallet_id, reference),
        arguments.Debit(
            ref=reference,
            wallet_id=wallet_id,
            amount=amount_credits,
            posted=posted,
            credited=credited,
        ),
    )


def _balance(figures: list[int]) -> Balance:
    base, pend, held, debt, _version = figures
    return Balance(
        available_credits=base - pend - held,
        held_credits=held,
        posted_credits=base - pend,
        debt_credits=debt,
    )
