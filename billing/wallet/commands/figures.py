"""Push, read and debit a wallet's figures; inquire about a wallet and one of its API keys."""

from dataclasses import dataclass
from typing import NamedTuple

from billing.wallet import arguments, keys
from billing.wallet.commands.command import Command, Reply, parse_ok, read_reply, refusal_of
from billing.wallet.commands.placing import LIMITED, RATE_FIGURES, rate_refusal
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
    return Command(
        "tp_push",
        keys.WalletKeys.of(wallet_id),
        arguments.Push(posted, credited, debt, state, version),
    )


def read(wallet_id: int) -> Command:
    """Read a wallet's figures."""
    return Command("tp_read", keys.WalletKeys.of(wallet_id))


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
    return Command(
        "tp_inquire",
        keys.InquiryKeys(
            fence=keys.fence(keys.shard_of(wallet_id)),
            wallet_key=keys.wallet(wallet_id),
            api_key=keys.api_key(wallet_id, api_key_id),
            inquiries_of_key=keys.inquiries_of_key(wallet_id, api_key_id),
            inquiries_of_wallet=keys.inquiries_of_wallet(wallet_id),
        ),
        arguments.Inquire(
            known_version=known_version, month=month, inquiries=count, limits=limits.packed
        ),
    )


def parse_inquiry(reply: Reply) -> Inquiry:
    """Read the answer to `inquire`.

    Raises RateLimited, WalletStale, WalletMissing, WalletRecovering.
    """
    status, figures = read_reply(reply)
    if status in LIMITED:
        raise rate_refusal(status, figures)
    if status != "OK":
        raise refusal_of(status)
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
    shard = keys.shard_of(wallet_id)
    return Command(
        "tp_debit",
        keys.DebitKeys(
            fence=keys.fence(shard),
            wallet_key=keys.wallet(wallet_id),
            hold_key=keys.hold(wallet_id, reference),
            events=keys.events(shard),
        ),
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
