"""Events of the wallets' streams: what Redis decided and PostgreSQL has to book."""

from dataclasses import dataclass

from billing.wallet.usage import NO_MEMBER, RequestFacts, Settlement

Fields = dict[bytes, bytes]


class MalformedEvent(ValueError):
    """A stream entry that no version of this program wrote."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What an event moves: `delta` was added to `pend`; the rest are its register's totals."""

    event_id: str
    reference: str
    wallet_id: int
    is_usage: bool
    delta: int
    charged: int
    target: int
    held: int
    # The API key that spent it, and in which month; 0 for a debit.
    api_key_id: int
    month: int
    # The member whose caps it counts for; 0 for a debit, or if the request said nobody.
    member_id: int


@dataclass(frozen=True, slots=True)
class Event(Amounts):
    """A settlement of a request (`facts` and `settlement` are set) or a debit (they are not)."""

    facts: RequestFacts | None
    settlement: Settlement | None


def read_amounts(event_id: bytes, fields: Fields) -> Amounts:
    """Read the amounts of a stream entry, and nothing else of it. Raises MalformedEvent."""
    try:
        return Amounts(*_amounts(event_id, fields), _member_of(fields[b"facts"]))
    except (KeyError, ValueError) as error:
        raise MalformedEvent(f"A stream entry can't be read: {error!r}") from error


def read_event(event_id: bytes, fields: Fields) -> Event:
    """Read a whole stream entry. Raises MalformedEvent."""
    try:
        amounts = _amounts(event_id, fields)
        if not amounts[3]:
            return Event(*amounts, NO_MEMBER, None, None)
        facts = RequestFacts.unpack(fields[b"facts"])
        settlement = Settlement.unpack(fields[b"settlement"])
        return Event(*amounts, facts.member_id or NO_MEMBER, facts, settlement)
    except (KeyError, ValueError, TypeError) as error:
        raise MalformedEvent(f"A stream entry can't be read: {error!r}") from error


def _amounts(
    event_id: bytes, fields: Fields
) -> tuple[str, str, int, bool, int, int, int, int, int, int]:
    return (
        event_id.decode(),
        fields[b"ref"].decode(),
        int(fields[b"wallet"]),
        {b"usage": True, b"debit": False}[fields[b"kind"]],
        int(fields[b"delta"]),
        int(fields[b"charged"]),
        int(fields[b"target"]),
        int(fields[b"held"]),
        # Events that were written before version 3 of the functions lack these.
        int(fields.get(b"key", b"0")),
        int(fields.get(b"month", b"0")),
    )


def _member_of(facts: bytes) -> int:
    """Return the member that facts name. Facts that can't be read are the drain's to report."""
    try:
        return RequestFacts.unpack(facts).member_id or NO_MEMBER
    except (ValueError, TypeError):
        return NO_MEMBER
