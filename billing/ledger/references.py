"""References: the text that names what an entry, a debit or a register was made for.

A kind and a reference name one cause, so posting it again finds the first entry. Each class below
is one form of that text: `str()` writes it, `parse` reads it, and no other code takes it apart.

| kind of entry | references |
|---|---|
| purchase | OrderCredit |
| grant | Grant, Code, Welcome, DeskPress |
| usage | RequestCharge, RequestRaise |
| clawback | OrderStep, DebtPayment (both by a debit), DebtPaidBy (by a credit) |
| reinstatement | OrderStep |
| expiry | ExpiredLot (by a debit) |
| adjustment | Adjustment, DeskPress, Revival |

In Redis a request's register and events are named by its RequestCharge, a debit's by its DebitRow.
"""

import re
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, dataclass_transform
from uuid import UUID

from billing.exceptions import UnknownReference

# What a field of a form may contain: exactly what `str` writes, so that parsing is exact.
PATTERNS: dict[type, str] = {
    int: r"0|[1-9][0-9]{0,17}",  # PostgreSQL's bigint holds these
    UUID: r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    str: r"[A-Za-z0-9_]+",
}
# Between the parts of every form but DeskPress.
SEPARATOR = ":"
FIELD = re.compile(r"\{(\w+)\}")


@dataclass_transform(frozen_default=True)
class Reference:
    """One form of a reference: `FORM` with a field in each pair of braces.

    Each form is a frozen data class of its fields.
    """

    FORM: ClassVar[str]

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True)(cls)

    def __str__(self) -> str:
        return self.FORM.format(**{name: getattr(self, name) for name in FIELD.findall(self.FORM)})

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference of this form. Raises UnknownReference for any other text."""
        found = cls.find(text)
        if found is None:
            raise UnknownReference(f"{text!r} is not of the form {cls.FORM}.")
        return found

    @classmethod
    def find(cls, text: str) -> Self | None:
        """Read a reference of this form; None for any other text."""
        found = re.fullmatch(_pattern(cls), text)
        if found is None:
            return None
        types = types_of(cls)
        return cls(**{name: types[name](value) for name, value in found.groupdict().items()})

    @classmethod
    def prefix(cls) -> str:
        """Return how every reference of this form begins."""
        return cls.FORM.partition("{")[0]


class OrderCredit(Reference):
    """The credits of an order."""

    FORM = "{order_id}"
    order_id: UUID


class OrderStep(Reference):
    """A step by which an order's credits are taken back or given back.

    The total only grows, so each step has a reference of its own.
    """

    FORM = "{order_id}:{total_credits}"
    order_id: UUID
    total_credits: int

    @staticmethod
    def prefix_of(order_id: UUID) -> str:
        """Return how the references of all steps of an order begin."""
        return f"{order_id}:"


class Revival(Reference):
    """Expired credits of an order, put back so that they can be taken back."""

    FORM = "expired:{order_id}:{total_credits}"
    order_id: UUID
    total_credits: int

    @classmethod
    def prefix_of(cls, order_id: UUID) -> str:
        """Return how the references of all revivals of an order begin."""
        return f"{cls.prefix()}{order_id}:"


class RequestCharge(Reference):
    """The first charge of a request."""

    FORM = "{request_id}"
    request_id: str


class RequestRaise(Reference):
    """A later charge of a request, which raises it to this sum."""

    FORM = "{request_id}:{charged_credits}"
    request_id: str
    charged_credits: int


class ExpiredLot(Reference):
    """An expiry of a lot, the first or a later one."""

    FORM = "lot:{lot_id}:{number}"
    lot_id: int
    number: int


class LapsedLot(Reference):
    """What of a lot was expired from the start, because it had expired before it was taken."""

    FORM = "lapsed:{lot_id}"
    lot_id: int


class DebtPayment(Reference):
    """A debit that pays a wallet's debt from what is available."""

    FORM = "owed:{wallet_id}:{number}"
    wallet_id: int
    number: int


class DebtPaidBy(Reference):
    """What a credit paid of its wallet's debt at once; `credit` is the credit's own reference."""

    FORM = "debt:{credit}"
    credit: Reference

    @classmethod
    def find(cls, text: str) -> Self | None:
        """Read a reference of this form; None for any other text."""
        paid_by = text.removeprefix(cls.prefix())
        if paid_by == text:
            return None
        credits = filter(None, (form.find(paid_by) for form in CREDITS))
        return next((cls(credit) for credit in credits), None)


class Code(Reference):
    """A redeemed code."""

    FORM = "code:{code_id}"
    code_id: int


class Welcome(Reference):
    """A person's welcome credit."""

    FORM = "welcome:{user_id}"
    user_id: int


class Grant(Reference):
    """A grant without another cause."""

    FORM = "grant:{number}"
    number: UUID


class Adjustment(Reference):
    """An adjustment without another cause."""

    FORM = "adjustment:{number}"
    number: UUID


class DeskPress(Reference):
    """One press of a button at the desk, for one wallet. `press` is a UUID without its dashes."""

    FORM = "desk-{press}-{wallet_id}"
    press: str
    wallet_id: int


class DebitRow(Reference):
    """A debit's register and events in Redis."""

    FORM = "debit:{debit_id}"
    debit_id: int


# The forms of what adds credits, and so may pay a debt.
CREDITS: tuple[type[Reference], ...] = (
    OrderCredit,
    OrderStep,
    Grant,
    Code,
    Welcome,
    DeskPress,
    Adjustment,
    Revival,
)


def first_part_sql(column: str) -> str:
    """Return the SQL of a reference's first part: the order or request that it names, as text."""
    return f"split_part({column}, '{SEPARATOR}', 1)"


def types_of(form: Any) -> dict[str, Any]:
    """Return the types of a form's fields."""
    return {field.name: field.type for field in fields(form)}


def _pattern(form: type[Reference]) -> str:
    types = types_of(form)
    return FIELD.sub(lambda at: f"(?P<{at[1]}>{PATTERNS[types[at[1]]]})", form.FORM)
