"""References are written and read in one place, exactly; no two of a kind share a text."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.exceptions import UnknownReference
from billing.ledger import references
from billing.ledger.references import (
    CREDITS,
    Adjustment,
    Code,
    DebitRow,
    DebtPaidBy,
    DebtPayment,
    DeskPress,
    ExpiredLot,
    Grant,
    LapsedLot,
    OrderCredit,
    OrderStep,
    Reference,
    RequestCharge,
    RequestRaise,
    Revival,
    Welcome,
)
from billing.models import LedgerEntry

Kind = LedgerEntry.Kind

ID = UUID("00000000-0000-4000-8000-00000000000a")
# As they have been written since the first release: rows of these are in people's databases.
WRITTEN: list[tuple[Reference, str]] = [
    (OrderCredit(ID), "00000000-0000-4000-8000-00000000000a"),
    (OrderStep(ID, 70), "00000000-0000-4000-8000-00000000000a:70"),
    (Revival(ID, 70), "expired:00000000-0000-4000-8000-00000000000a:70"),
    (RequestCharge("req_0a"), "req_0a"),
    (RequestRaise("req_0a", 25), "req_0a:25"),
    (ExpiredLot(7, 1), "lot:7:1"),
    (LapsedLot(7), "lapsed:7"),
    (DebtPayment(7, 1), "owed:7:1"),
    (DebtPaidBy(Code(7)), "debt:code:7"),
    (DebtPaidBy(OrderStep(ID, 70)), "debt:00000000-0000-4000-8000-00000000000a:70"),
    (Code(7), "code:7"),
    (Welcome(7), "welcome:7"),
    (Grant(ID), "grant:00000000-0000-4000-8000-00000000000a"),
    (Adjustment(ID), "adjustment:00000000-0000-4000-8000-00000000000a"),
    (DeskPress(ID.hex, 7), "desk-0000000000004000800000000000000a-7"),
    (DebitRow(7), "debit:7"),
]
FORMS: dict[str, tuple[type[Reference], ...]] = {
    Kind.PURCHASE: (OrderCredit,),
    Kind.GRANT: (Grant, Code, Welcome, DeskPress),
    Kind.USAGE: (RequestCharge, RequestRaise),
    Kind.CLAWBACK: (OrderStep, DebtPayment, DebtPaidBy),
    Kind.REINSTATEMENT: (OrderStep,),
    Kind.EXPIRY: (ExpiredLot, LapsedLot),
    Kind.ADJUSTMENT: (Adjustment, DeskPress, Revival),
    "register": (RequestCharge, DebitRow),
}
ALL = sorted({form for forms in FORMS.values() for form in forms}, key=repr)

NAME = st.text("abcXYZ019_", min_size=1, max_size=36)
ROW = st.integers(0, 10**18 - 1)


def of(form: type[Any]) -> st.SearchStrategy[Reference]:
    """Return any reference of a form."""
    if form is DebtPaidBy:
        return st.builds(DebtPaidBy, st.sampled_from(CREDITS).flatmap(of))
    fields: dict[type, st.SearchStrategy[Any]] = {str: NAME, int: ROW, UUID: st.uuids()}
    return st.builds(
        form, **{name: fields[each] for name, each in references.types_of(form).items()}
    )


def test_every_form_is_one_of_a_kind_and_has_an_example() -> None:
    defined = {each for each in vars(references).values() if isinstance(each, type)}

    assert {each for each in defined if issubclass(each, Reference)} == {Reference, *ALL}
    assert {type(reference) for reference, _ in WRITTEN} == set(ALL)
    assert FORMS.keys() - {"register"} == set(Kind.values)


@pytest.mark.parametrize(("reference", "text"), WRITTEN, ids=str)
def test_a_reference_is_written_as_ever(reference: Reference, text: str) -> None:
    assert str(reference) == text
    assert type(reference).parse(text) == reference


@given(st.sampled_from(ALL).flatmap(of))
def test_what_is_written_is_read_back(reference: Reference) -> None:
    assert type(reference).parse(str(reference)) == reference


@given(st.data())
def test_no_two_forms_of_a_kind_share_a_text(data: st.DataObject) -> None:
    forms = data.draw(st.sampled_from(list(FORMS.values())))
    text = str(data.draw(st.sampled_from(forms).flatmap(of)))

    assert len([form for form in forms if form.find(text) is not None]) == 1


@given(st.sampled_from(ALL), st.text() | st.sampled_from(ALL).flatmap(of).map(str))
def test_what_is_read_is_written_the_same(form: type[Reference], text: str) -> None:
    found = form.find(text)

    assert found is None or str(found) == text


@pytest.mark.parametrize(
    "text",
    ["", "debit:", "debit:x", "debit:-1", "debit:07", "debit:7 ", "debit:7\n", "debit:٧", "lot:7"],
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(UnknownReference, match="debit:"):
        DebitRow.parse(text)


@pytest.mark.parametrize("text", ["debt:", "debt:req_1", "debt:debt:code:7", "code:7"])
def test_only_a_credit_pays_a_debt(text: str) -> None:
    assert DebtPaidBy.find(text) is None


def test_the_longest_references_fit_into_their_column() -> None:
    longest = {
        DebtPaidBy(Revival(ID, 10**12)),
        DebtPaidBy(DeskPress(ID.hex, 10**18 - 1)),
        DebtPayment(10**18 - 1, 10**9),
        RequestRaise(f"req_{ID.hex}", 10**12),
    }

    length = LedgerEntry._meta.get_field("reference").max_length

    assert length is not None
    assert max(len(str(reference)) for reference in longest) <= length
