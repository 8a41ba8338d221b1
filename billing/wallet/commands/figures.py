"""Push, read and debit a wallet's figures; inquire about a wallet and one of its API keys."""

from dataclasses import dataclass
from typing import NamedTuple

from billing.wallet import arguments
from billing.wallet.commands.command import Command, Reply, call, parse_ok
from billing.wallet.commands.placing import RATE_FIGURES, parse_counted
from billing.wallet.keys import Spot
from billing.wallet.limits import KeyFigures, Limits
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
    """Where a wallet and one of its keys stand, and the rate of their inquiries."""

    balance: Balance
    figures: KeyFigures
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
    count: int = 1,
) -> Command:
    """Read a wallet's and a key's figures, if the caller knows both as of `known_version`.

    Counts as `count` inquiries: 1 for a client's request, 0 for one that asks again. A minute
    allows as many inquiries as `limits` allow requests.
    """
    return call(
        "tp_inquire",
        Spot.of(wallet_id, api_key_id=api_key_id),
        arguments.Inquire(
            known_version=known_version, month=month, inquiries=count, limits=limits.packed
        ),
    )


def parse_inquiry(reply: Reply) -> Inquiry:
    """Read the answer to `inquire`.

    Raises RateLimited, WalletStale, WalletMissing, WalletRecovering.
    """
    figures = parse_counted(reply)
    return Inquiry(
        _balance(figures[:5]),
        KeyFigures(*figures[5:-RATE_FIGURES]),
        RateState.read(figures[-RATE_FIGURES:]),
    )


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
