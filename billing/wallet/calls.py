"""The calls of the wallet's Redis functions, without the I/O: what to send, what a reply means.

Both clients, the web processes' asynchronous one and the sweeps' synchronous one, send these.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from billing.exceptions import (
    CapReached,
    InsufficientCredits,
    Limited,
    RateLimited,
    RequestTooLarge,
    UnknownHold,
    WalletBacklogged,
    WalletError,
    WalletFrozen,
    WalletInDebt,
    WalletMissing,
    WalletRecovering,
    WalletStale,
)
from billing.wallet import keys
from billing.wallet.limits import KeyFigures, Limits, RateState
from billing.wallet.usage import RequestFacts, Settlement

Reply = list[bytes | int]
Argument = str | bytes | int


@dataclass(frozen=True, slots=True)
class Call:
    """One FCALL: the function's name, its keys, its arguments."""

    function: str
    keys: tuple[str, ...]
    arguments: tuple[Argument, ...] = ()

    def parts(self) -> tuple[Argument, ...]:
        """Return the command as Redis takes it."""
        return ("FCALL", self.function, len(self.keys), *self.keys, *self.arguments)


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """The worst case of one request, to be held.

    The amount is `ceil((fixed + unit × units) / 1000)` credits for as many units as the balance
    affords, between `units_least` and `units_wanted`. A unit is a completion token of each choice.
    Of the tokens per minute it takes `fixed_tokens + unit_tokens × units`.
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


@dataclass(frozen=True, slots=True)
class Placed:
    """A hold: what it keeps, how many completion tokens that pays for, and what is left."""

    held_credits: int
    units: int
    available_credits: int
    rate: RateState


@dataclass(frozen=True, slots=True)
class Register:
    """A request as Redis has it: running as long as it is open, then charged and maybe unbooked."""

    facts: RequestFacts
    is_open: bool
    held_credits: int
    charged_credits: int
    target_credits: int


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold that is open: whose it is, for which API key it counts, and what it keeps."""

    wallet_id: int
    api_key_id: int
    amount: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A settlement: what was charged in all, and what is left."""

    charged_credits: int
    available_credits: int


@dataclass(frozen=True, slots=True)
class Balance:
    """A wallet's figures in credits. `available` is what a new hold could take now."""

    available_credits: int
    held_credits: int
    posted_credits: int
    debt_credits: int
    is_live: bool = True


class Looked(NamedTuple):
    """Where a wallet and one of its keys stand, and the looks in a minute."""

    balance: Balance
    figures: KeyFigures
    rate: RateState


class Reaped(Enum):
    """What became of a hold that was to be reaped."""

    SETTLED = "OK"
    VOIDED = "VOID"
    ENDED = "ENDED"  # before, by somebody else
    ALIVE = "ALIVE"  # its lease was renewed


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events of a shard wait, and for how long the drain has left them waiting."""

    events: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class BacklogLimit:
    """How far behind the drain may be before a shard admits nothing new."""

    events: int
    age_ms: int


def place(hold: HoldRequest, *, lease_ms: int, limit: BacklogLimit) -> Call:
    """Hold the worst case of a request."""
    facts = hold.facts
    shard = keys.shard_of(facts.wallet_id)
    return Call(
        "tp_place",
        (
            keys.fence(shard),
            keys.wallet(facts.wallet_id),
            keys.hold(facts.wallet_id, facts.request_id),
            keys.leases(shard),
            keys.api_key(facts.wallet_id, facts.api_key_id),
            keys.events(shard),
            keys.drained(shard),
        ),
        (
            facts.request_id,
            facts.wallet_id,
            hold.wallet_version,
            hold.fixed_millicredits,
            hold.unit_millicredits,
            hold.units_wanted,
            hold.units_least,
            lease_ms,
            facts.pack(),
            limit.events,
            limit.age_ms,
            facts.api_key_id,
            facts.month,
            hold.fixed_tokens,
            hold.unit_tokens,
            hold.limits.packed,
        ),
    )


def quote(hold: HoldRequest, *, lease_ms: int, limit: BacklogLimit) -> Call:
    """Ask what `place` would answer, and hold nothing. `parse_place` reads the answer."""
    return replace(place(hold, lease_ms=lease_ms, limit=limit), function="tp_quote")


def parse_place(reply: Reply) -> Placed:
    """Read the answer to `place`. Raises the WalletError that it means."""
    status, figures = _read(reply)
    if status == "OK":
        held, units, available, *rates = figures
        return Placed(held, units, available, RateState.read(rates))
    if status == "INSUFFICIENT":
        raise InsufficientCredits(available_credits=figures[0])
    if status == "CAPPED":
        is_monthly, cap, left = figures
        raise CapReached(is_monthly=bool(is_monthly), cap_credits=cap, left_credits=left)
    if status == "TOO_LARGE":
        raise RequestTooLarge(tokens_per_minute=figures[0], tokens=figures[1])
    if status in _LIMITED:
        raise _limited(status, figures)
    raise _refusal(status)


def _limited(status: str, figures: list[int]) -> RateLimited:
    is_wallets, limit, *rest = figures
    retry_after_ms, *rates = rest if len(rest) > _RATES else (BUSY_RETRY_MS, *rest)
    return RateLimited(
        what=_LIMITED[status],
        is_wallets=bool(is_wallets),
        limit=limit,
        retry_after_ms=retry_after_ms,
        rate=RateState.read(rates),
    )


def extend(facts: RequestFacts, progress: Settlement, *, lease_ms: int) -> Call:
    """Renew a lease; `progress` is what the reaper would book if it ran out."""
    shard = keys.shard_of(facts.wallet_id)
    return Call(
        "tp_extend",
        (keys.fence(shard), keys.hold(facts.wallet_id, facts.request_id), keys.leases(shard)),
        (facts.request_id, lease_ms, progress.target_credits, progress.pack()),
    )


def settle(facts: RequestFacts, settlement: Settlement) -> Call:
    """End a request at what it cost."""
    return Call(
        "tp_settle",
        _register_keys(facts.wallet_id, facts.request_id),
        (
            facts.request_id,
            settlement.target_credits,
            settlement.pack(),
            settlement.used_tokens,
        ),
    )


def parse_settle(reply: Reply) -> Settled:
    """Read the answer to `settle` or `settle_late`. Raises UnknownHold, WalletRecovering."""
    status, figures = _read(reply)
    if status != "OK":
        raise _refusal(status)
    charged, available = figures
    return Settled(charged, available)


def void(facts: RequestFacts) -> Call:
    """Release a hold whose request no upstream accepted."""
    return Call(
        "tp_void", _register_keys(facts.wallet_id, facts.request_id)[:4], (facts.request_id,)
    )


def reap(
    wallet_id: int, request_id: str, *, without_progress: Settlement | None, is_dead: bool = False
) -> Call:
    """Settle a hold at its last progress: its lease ran out, or its process is known to be dead.

    Without progress it is settled as told, or voided if there is nothing to tell.
    """
    ending = without_progress.pack() if without_progress else "-"
    return Call(
        "tp_reap", _register_keys(wallet_id, request_id), (request_id, ending, int(is_dead))
    )


def parse_reap(reply: Reply) -> Reaped:
    """Read the answer to `reap`. Raises UnknownHold, WalletRecovering."""
    status, _ = _read(reply)
    try:
        return Reaped(status)
    except ValueError:
        raise _refusal(status) from None


def settle_late(
    facts: RequestFacts, settlement: Settlement, *, held: int, charged: int, target: int
) -> Call:
    """Settle a request that Redis does not know; `charged` and `target` are what is booked."""
    return Call(
        "tp_settle_late",
        _register_keys(facts.wallet_id, facts.request_id),
        (
            facts.request_id,
            settlement.target_credits,
            settlement.pack(),
            settlement.used_tokens,
            facts.wallet_id,
            held,
            charged,
            target,
            facts.pack(),
            facts.api_key_id,
            facts.month,
        ),
    )


def debit(
    wallet_id: int,
    reference: str,
    *,
    amount_credits: int,
    snapshot: tuple[int, int] | None = None,
) -> Call:
    """Take what is available of an amount that is not usage.

    An expiry gives a `snapshot`: posted and credited as they were when its lot was read.
    """
    posted, credited = snapshot or (-1, -1)
    shard = keys.shard_of(wallet_id)
    return Call(
        "tp_debit",
        (
            keys.fence(shard),
            keys.wallet(wallet_id),
            keys.hold(wallet_id, reference),
            keys.events(shard),
        ),
        (reference, wallet_id, amount_credits, posted, credited),
    )


def read(wallet_id: int) -> Call:
    """Read a wallet's figures."""
    return Call("tp_read", (keys.fence(keys.shard_of(wallet_id)), keys.wallet(wallet_id)))


def parse_read(reply: Reply) -> Balance:
    """Read the answer to `read`."""
    status, figures = _read(reply)
    if status != "OK":
        raise _refusal(status)
    return _balance(figures)


def look(
    wallet_id: int,
    api_key_id: int,
    *,
    known_version: int,
    month: int,
    limits: Limits,
    looks: int = 1,
) -> Call:
    """Read a wallet's and a key's figures, if the caller knows both up to this version.

    Takes so many looks of as many in a minute as `limits` allow requests: 1 for a request of a
    client's, 0 for one that looks again.
    """
    return Call(
        "tp_look",
        (
            keys.fence(keys.shard_of(wallet_id)),
            keys.wallet(wallet_id),
            keys.api_key(wallet_id, api_key_id),
            keys.looks_of_key(wallet_id, api_key_id),
            keys.looks_of_wallet(wallet_id),
        ),
        (known_version, month, looks, limits.packed),
    )


def parse_look(reply: Reply) -> Looked:
    """Read the answer to `look`.

    Raises RateLimited, WalletStale, WalletMissing, WalletRecovering.
    """
    status, figures = _read(reply)
    if status in _LIMITED:
        raise _limited(status, figures)
    if status != "OK":
        raise _refusal(status)
    return Looked(
        _balance(figures[:5]), KeyFigures(*figures[5:-_RATES]), RateState.read(figures[-_RATES:])
    )


def _balance(figures: list[int]) -> Balance:
    base, pend, held, debt, _version = figures
    return Balance(
        available_credits=base - pend - held,
        held_credits=held,
        posted_credits=base - pend,
        debt_credits=debt,
    )


def register(wallet_id: int, request_id: str) -> Call:
    """Read the register of a request."""
    shard = keys.shard_of(wallet_id)
    return Call("tp_register", (keys.fence(shard), keys.hold(wallet_id, request_id)))


def parse_register(reply: Reply) -> Register:
    """Read the answer to `register`. Raises UnknownHold, WalletRecovering."""
    status, *fields = reply
    if status != b"OK":
        raise _refusal(_read(reply)[0])
    *figures, packed = fields
    is_open, held, charged, target = (int(figure) for figure in figures)
    facts = RequestFacts.unpack(packed if isinstance(packed, bytes) else b"")
    return Register(facts, bool(is_open), held, charged, target)


def holds(shard: int) -> Call:
    """Ask for every open hold of a shard."""
    return Call("tp_holds", (keys.fence(shard), keys.leases(shard)), (keys.prefix(shard),))


def parse_holds(reply: Reply) -> tuple[list[OpenHold], int]:
    """Return the holds, and how many leases are of no open hold. Raises WalletRecovering."""
    idle, *rest = parse_ok(reply)
    figures = iter(rest)
    return [OpenHold(*each) for each in zip(figures, figures, figures, strict=True)], idle


def push(
    wallet_id: int, *, posted: int, credited: int, debt: int, state: str, version: int
) -> Call:
    """Tell Redis of credits, debt, state and key changes that PostgreSQL decided."""
    return Call(
        "tp_push",
        (keys.fence(keys.shard_of(wallet_id)), keys.wallet(wallet_id)),
        (posted, credited, debt, state, version),
    )


def ack(shard: int, event_ids: list[str]) -> Call:
    """Say that PostgreSQL has booked these events."""
    return Call("tp_ack", (keys.fence(shard), keys.events(shard)), (keys.prefix(shard), *event_ids))


def drained(shard: int) -> Call:
    """Say that the drain went through all events; those that are left can't be booked."""
    return Call("tp_drained", (keys.fence(shard), keys.drained(shard)))


def backlog(shard: int) -> Call:
    """Ask how far the drain is behind."""
    return Call("tp_backlog", (keys.fence(shard), keys.events(shard), keys.drained(shard)))


def parse_backlog(reply: Reply) -> Backlog:
    """Read the answer to `backlog`. Raises WalletRecovering."""
    return Backlog(*parse_ok(reply))


def status(shard: int) -> Call:
    """Ask whether a shard is open."""
    return Call("tp_status", (keys.fence(shard),))


def parse_ok(reply: Reply) -> list[int]:
    """Return the figures of a reply that must be OK. Raises the WalletError that it means."""
    status, figures = _read(reply)
    if status != "OK":
        raise _refusal(status)
    return figures


def parse_ended(reply: Reply) -> bool:
    """Tell whether the hold was still open; one that was settled before is no error."""
    status, _ = _read(reply)
    if status not in {"OK", "ENDED"}:
        raise _refusal(status)
    return status == "OK"


def _register_keys(wallet_id: int, request_id: str) -> tuple[str, str, str, str, str]:
    shard = keys.shard_of(wallet_id)
    return (
        keys.fence(shard),
        keys.wallet(wallet_id),
        keys.hold(wallet_id, request_id),
        keys.leases(shard),
        keys.events(shard),
    )


def _read(reply: Reply) -> tuple[str, list[int]]:
    head, *figures = reply
    if not isinstance(head, bytes):
        raise WalletError(f"The wallet answered {head!r} where a status was due.")
    return head.decode(), [int(figure) for figure in figures]


# How soon to try again where nobody knows when a request will end.
BUSY_RETRY_MS = 500
_RATES = 6
_LIMITED: dict[str, Limited] = {
    "BUSY": Limited.CONCURRENT,
    "LIMITED": Limited.REQUESTS,
    "EXHAUSTED": Limited.TOKENS,
}

_REFUSALS: dict[str, type[WalletError]] = {
    "RECOVERING": WalletRecovering,
    "BACKLOGGED": WalletBacklogged,
    "MISSING": WalletMissing,
    "STALE": WalletStale,
    "FROZEN": WalletFrozen,
    "IN_DEBT": WalletInDebt,
    "UNKNOWN": UnknownHold,
    "ENDED": UnknownHold,
}


def _refusal(status: str) -> WalletError:
    return _REFUSALS.get(status, WalletError)(f"The wallet answered {status}.")
