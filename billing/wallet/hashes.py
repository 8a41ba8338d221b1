"""The hashes in Redis: the names of their fields, and how to read them without the library.

Only the function library writes them. They are read here where many are needed at once, or those of
a closed shard, about which the library answers nothing.
"""

from dataclasses import dataclass, fields
from enum import StrEnum

from billing.wallet import keys
from billing.wallet.commands.command import Argument
from billing.wallet.sync_client import SyncWalletClient

Values = list[bytes | None]


class WalletField(StrEnum):
    """Fields of `{s}:wallet:<id>`."""

    EPOCH = "e"
    BASE = "base"
    PEND = "pend"
    HELD = "held"
    CREDITED = "credited"
    VERSION = "v"
    DEBT = "debt"
    OPEN = "open"
    STATE = "state"
    # The buckets of requests and tokens per minute (see `take` in `lua/rates.lua`).
    REQUESTS_AT = "ra"
    TOKENS_AT = "ta"


class KeyField(StrEnum):
    """Fields of `{s}:key:<id>`, which also has `held:<month>` and `spent:<month>`.

    `{s}:member:<wallet>:<id>` has the same.
    """

    EPOCH = "e"
    OPEN = "open"
    HELD = "held"
    SPENT = "spent"
    REQUESTS_AT = "ra"
    TOKENS_AT = "ta"


class RegisterField(StrEnum):
    """Fields of `{s}:hold:<reference>`."""

    STATE = "s"  # open, settled or void
    WALLET = "w"
    AMOUNT = "a"  # the credits that it holds
    TARGET = "t"  # the highest that was seen
    CHARGED = "c"
    UNITS = "n"  # held
    FACTS = "f"
    # What the reaper would book: its target, and the packed settlement.
    PROGRESS_TARGET = "pt"
    PROGRESS = "p"
    EPOCH = "e"
    # The limits that it counts for: API key and month (0: none), the tokens that it may use, and
    # the microseconds that these took of the key's and of the wallet's minute.
    LIMITS = "k"
    REAPED = "r"  # there if the reaper ended it, until its own process does


@dataclass(frozen=True, slots=True)
class WalletFigures:
    """A wallet as Redis has it."""

    base: int
    pend: int
    held: int
    credited: int
    version: int
    debt: int
    open: int
    state: str


@dataclass(frozen=True, slots=True)
class KeyTotals:
    """What an API key or a member has open, holds and spent, in all."""

    open: int = 0
    held: int = 0
    spent: int = 0


@dataclass(frozen=True, slots=True)
class RegisterFigures:
    """A register, as far as the sweeps need it."""

    is_open: bool
    wallet_id: int
    amount: int
    has_progress: bool


# Both figures have their fields' names, and are read in the order in which they are declared.
_WALLET = (
    WalletField.EPOCH,
    *(WalletField[figure.name.upper()] for figure in fields(WalletFigures)),
)
_KEY = (KeyField.EPOCH, *(KeyField[figure.name.upper()] for figure in fields(KeyTotals)))
_REGISTER = (
    RegisterField.STATE,
    RegisterField.WALLET,
    RegisterField.AMOUNT,
    RegisterField.PROGRESS,
)


def ask_wallet(wallet_id: int) -> tuple[Argument, ...]:
    """Return the command that reads a wallet."""
    return ("HMGET", keys.wallet(wallet_id), *_WALLET)


def read_wallet(values: Values, *, epoch: bytes | None) -> WalletFigures | None:
    """Read the answer; None if the wallet is not loaded in this epoch."""
    of, *figures, state = _whole(values)
    if not state or of != epoch:
        return None
    base, pend, held, credited, version, debt, opened = map(int, figures)
    return WalletFigures(base, pend, held, credited, version, debt, opened, state.decode())


def ask_key(wallet_id: int, api_key_id: int) -> tuple[Argument, ...]:
    """Return the command that reads an API key."""
    return ("HMGET", keys.api_key(wallet_id, api_key_id), *_KEY)


def read_key(values: Values, *, epoch: bytes | None) -> KeyTotals:
    """Read the answer. A key that was not used in this epoch has zeros."""
    of, *figures = values
    return KeyTotals(*map(int, _whole(figures))) if of is not None and of == epoch else KeyTotals()


def ask_member(wallet_id: int, member_id: int) -> tuple[Argument, ...]:
    """Return the command that reads a member."""
    return ("HMGET", keys.member(wallet_id, member_id), *_KEY)


def read_member(values: Values, *, epoch: bytes | None) -> KeyTotals | None:
    """Read the answer; None for a member who is not counted in this epoch."""
    return read_key(values, epoch=epoch) if values[0] is not None and values[0] == epoch else None


def read_registers(
    client: SyncWalletClient, shard: int, references: list[str]
) -> list[RegisterFigures | None]:
    """Read registers of a shard, open or closed; None for each that is missing.

    Raises WalletRecovering if Redis is away.
    """
    node = client.node_of(shard)
    pipeline = node.redis.pipeline(transaction=False)
    for reference in references:
        pipeline.hmget(keys.register(shard, reference), *_REGISTER)
    with node.reaching():
        return [_read_register(values) for values in pipeline.execute()]


def _read_register(values: Values) -> RegisterFigures | None:
    state, owner, amount, progress = _whole(values)
    if not state:
        return None
    return RegisterFigures(state == b"open", int(owner), int(amount), bool(progress))


def _whole(values: Values) -> list[bytes]:
    return [value or b"" for value in values]
