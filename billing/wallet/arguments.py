"""The arguments of the library's functions, by name and in order; see `signatures.py`.

A tuple is named after its function; a tuple of a row that may follow, after what the row is.
"""

from typing import NamedTuple


class Place(NamedTuple):
    """The worst case of a request, and how far behind the drain may be."""

    request: str
    wallet_id: int
    known_version: int
    fixed_mc: int
    unit_mc: int
    units_wanted: int
    units_least: int
    lease_ms: int
    facts: bytes
    max_events: int
    max_age_ms: int
    key_id: int
    month: int
    fixed_tokens: int
    unit_tokens: int
    limits: str
    requests: int


class CallOfConvoy(NamedTuple):
    """A call of a convoy; so many keys of the convoy's are its, and so many arguments follow."""

    name: str
    n_keys: int
    n_arguments: int


class CountRequest(NamedTuple):
    """A request that is counted before its body is read."""

    known_version: int
    month: int
    limits: str


class CountMember(NamedTuple):
    """A member to count; so many `KeyId` follow, and then so many `MonthSpent`."""

    wallet_id: int
    member_id: int
    known_version: int
    n_keys: int
    n_months: int


class KeyId(NamedTuple):
    """An API key."""

    key_id: int


class MonthSpent(NamedTuple):
    """What keys that are not a member's any more spent for them in one month."""

    month: int
    spent: int


class Extend(NamedTuple):
    """How far a request got; `progress` is a packed settlement."""

    request: str
    lease_ms: int
    progress_target: int
    progress: bytes


class Settle(NamedTuple):
    """What a request cost."""

    request: str
    target: int
    settlement: bytes
    used_tokens: int


class SettleLate(NamedTuple):
    """What a request cost, and what PostgreSQL has of it."""

    request: str
    target: int
    settlement: bytes
    used_tokens: int
    wallet_id: int
    held: int
    booked_charged: int
    booked_target: int
    facts: bytes
    key_id: int
    month: int


class Void(NamedTuple):
    """A request that no upstream accepted."""

    request: str


class Reap(NamedTuple):
    """A hold whose lease ran out. `-` voids it if there is no progress."""

    request: str
    settlement_without_progress: bytes | str
    target_without_progress: int
    is_dead: int


class Debit(NamedTuple):
    """An amount to take. `posted` and `credited` are -1 except for an expiry."""

    ref: str
    wallet_id: int
    amount: int
    posted: int
    credited: int


class Push(NamedTuple):
    """A wallet as PostgreSQL has it."""

    posted: int
    credited: int
    debt: int
    state: str
    version: int


class Inquire(NamedTuple):
    """The version that the caller knows, and as how many inquiries this one counts."""

    known_version: int
    month: int
    inquiries: int
    limits: str
    wallet_id: int
    member_id: int


class Prefix(NamedTuple):
    """The hash tag of a shard, from which the library makes the names of keys."""

    prefix: str


class EventId(NamedTuple):
    """An event."""

    event_id: str


class HandOver(NamedTuple):
    """A transaction that replaces the library, and the shard's prefix."""

    attempt: str
    prefix: str


class Attempt(NamedTuple):
    """A transaction that replaces the library."""

    attempt: str


class Epoch(NamedTuple):
    """The epoch that a rebuild will open."""

    epoch: str


class Rebuild(NamedTuple):
    """The epoch that a rebuild will open, and the shard's hash tag."""

    epoch: str
    prefix: str


class WalletRow(NamedTuple):
    """A wallet's figures."""

    wallet_id: int
    base: int
    pend: int
    held: int
    credited: int
    debt: int
    state: str
    version: int
    open: int


class KeyRow(NamedTuple):
    """An API key's figures; as many `MonthRow` as `months` follow."""

    key_id: int
    open: int
    held: int
    spent: int
    months: int


class MonthRow(NamedTuple):
    """What an API key's requests that started in one month hold and were charged."""

    month: int
    month_held: int
    month_spent: int


class Load(NamedTuple):
    """The epoch that was asked for before PostgreSQL was read, and how far the shard is loaded."""

    epoch: str
    prefix: str
    upto: int


class LoadedRow(NamedTuple):
    """A wallet as PostgreSQL has it; as many `SpentRow` as `months` follow."""

    wallet_id: int
    posted: int
    credited: int
    debt: int
    state: str
    version: int
    months: int


class SpentRow(NamedTuple):
    """What an API key's requests that started in one month were charged."""

    key_id: int
    month: int
    month_spent: int


class HoldRow(NamedTuple):
    """An open hold. `progress` is a packed settlement, or empty."""

    request: str
    wallet_id: int
    amount: int
    charged: int
    target: int
    progress_target: int
    progress: bytes | str
    lease_ms: int
    facts: bytes
    key_id: int
    month: int


class Keep(NamedTuple):
    """The rebuild, and the new lease of open holds."""

    epoch: str
    prefix: str
    lease_ms: int


class RegisterRow(NamedTuple):
    """A register and the credits that it holds; -1 if it is no open hold."""

    reference: str
    amount: int


class CorrectEvent(NamedTuple):
    """An event's corrected amount, and the corrected total charge of its register."""

    epoch: str
    event_id: str
    delta: int
    charged: int


class Forget(NamedTuple):
    """The rebuild, and how many of the rows that follow are events."""

    epoch: str
    prefix: str
    n_events: int


class Forgotten(NamedTuple):
    """An event or, after the events, a register."""

    event_id_or_reference: str


class Nothing(NamedTuple):
    """No arguments."""
