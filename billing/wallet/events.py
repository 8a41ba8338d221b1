"""Events of the wallets' streams: what Redis decided and PostgreSQL has to book."""

from dataclasses import dataclass

from billing.usage import RequestFacts, Settlement


class MalformedEvent(ValueError):
    """A stream entry that no version of this program wrote."""


@dataclass(frozen=True, slots=True)
class Event:
    """A settlement of a request (`facts` and `settlement` are set) or a debit (they are not).

    `delta` is what this event added to `pend`; `charged` and `target` are the register's totals.
    """

    event_id: str
    reference: str
    wallet_id: int
    delta: int
    charged: int
    target: int
    held: int
    facts: RequestFacts | None
    settlement: Settlement | None

    @property
    def is_usage(self) -> bool:
        """Tell a settlement from a debit."""
        return self.facts is not None


def read_event(event_id: bytes, fields: dict[bytes, bytes]) -> Event:
    """Read a stream entry. Raises MalformedEvent."""
    try:
        is_usage = {b"usage": True, b"debit": False}[fields[b"kind"]]
        return Event(
            event_id=event_id.decode(),
            reference=fields[b"ref"].decode(),
            wallet_id=int(fields[b"wallet"]),
            delta=int(fields[b"delta"]),
            charged=int(fields[b"charged"]),
            target=int(fields[b"target"]),
            held=int(fields[b"held"]),
            facts=RequestFacts.unpack(fields[b"facts"]) if is_usage else None,
            settlement=Settlement.unpack(fields[b"settlement"]) if is_usage else None,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise MalformedEvent(f"A stream entry can't be read: {error!r}") from error
