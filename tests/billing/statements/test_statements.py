"""A month's statement adds up, whatever is in the ledger."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.teams.members import first_owner
from billing.models import LedgerEntry, Wallet
from billing.statements.month import Month, Statement, list_months, make_statement, parse_month
from tests.billing.statements.conftest import MARCH, Post, Use
from tests.desk import make_order

MARCH_2026 = Month(2026, 3)
# The first and the last instants of months, a leap day among them, and some within.
INSTANTS = [
    datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 3, 1, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 3, 1, tzinfo=UTC),
    MARCH,
    datetime(2026, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 4, 1, tzinfo=UTC),
]
CREDITS = ["purchase", "grant", "reinstatement", "adjustment"]
DEBITS = ["usage", "clawback", "expiry", "adjustment"]
ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(INSTANTS),
        st.booleans(),
        st.integers(0, 3),
        st.integers(1, 10**12),
    ),
    max_size=25,
)


def section(statement: Statement, title: str) -> list[tuple[str, int]]:
    return [
        (line.words, line.amount_credits)
        for section in statement.sections
        for line in section.lines
        if section.title == title
    ]


def posted_before(wallet: Wallet, at: datetime) -> int:
    before = LedgerEntry.objects.filter(wallet=wallet, created_at__lt=at)
    total: int = before.aggregate(sum=Sum("amount_credits", default=0))["sum"]
    return total


@given(entries=ENTRIES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_in_the_ledger_every_month_adds_up(
    wallet: Wallet, entries: list[tuple[datetime, bool, int, int]]
) -> None:
    done = LedgerEntry.objects.count()
    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            wallet=wallet,
            kind=CREDITS[kind] if is_credit else DEBITS[kind],
            amount_credits=amount if is_credit else -amount,
            balance_credits=0,
            reference=f"e{done + number}",
            created_at=at,
        )
        for number, (at, is_credit, kind, amount) in enumerate(entries)
    )
    months = {Month.of(at) for at in INSTANTS}

    for month in months:
        statement = make_statement(wallet, month)
        assert statement.opening_credits == posted_before(wallet, month.start)
        assert statement.closing_credits == posted_before(wallet, month.end)


def test_an_entry_belongs_to_the_month_in_which_it_was_posted(wallet: Wallet, post: Post) -> None:
    post("grant", 1, at=MARCH_2026.start - timedelta(microseconds=1))
    post("grant", 10, at=MARCH_2026.start)
    post("grant", 100, at=MARCH_2026.end - timedelta(microseconds=1))
    post("grant", 1_000, at=MARCH_2026.end)

    statement = make_statement(wallet, MARCH_2026)

    assert (statement.opening_credits, statement.closing_credits) == (1, 111)


def test_an_order_is_told_with_its_price(wallet: Wallet, post: Post) -> None:
    order = make_order(first_owner(wallet.team))
    post("purchase", 1_000, reference=str(order.public_id), reason="Small")

    statement = make_statement(wallet, MARCH_2026)

    assert section(statement, "Orders") == [("Small, $9.00", 1_000)]


def test_an_order_is_told_with_what_was_paid_for_it(wallet: Wallet, post: Post) -> None:
    order = make_order(first_owner(wallet.team), discount_cents=450, paid_cents=450)
    post("purchase", 1_000, reference=str(order.public_id), reason="Small")

    statement = make_statement(wallet, MARCH_2026)

    assert section(statement, "Orders") == [("Small, $4.50", 1_000)]


def test_usage_is_summed_by_model_and_key(wallet: Wallet, use: Use) -> None:
    use("r1", 20)
    use("r2", 30)
    use("r3", 5, key="Server")
    use("r4", 7, model="gpt-4o")

    statement = make_statement(wallet, MARCH_2026)

    assert [
        (line.model_name, line.key_name, line.requests, line.amount_credits)
        for line in statement.usage
    ] == [
        ("gpt-4", "Laptop", 2, -50),
        ("gpt-4o", "Laptop", 1, -7),
        ("gpt-4", "Server", 1, -5),
    ]
    assert statement.usage_credits == -62


def test_a_charge_that_was_raised_later_is_one_request(
    wallet: Wallet, use: Use, post: Post
) -> None:
    use("r1", 20)
    post("usage", -5, reference="r1:25", at=MARCH + timedelta(minutes=1))
    post("usage", -3, reference="r1:28", at=MARCH_2026.end)

    march = make_statement(wallet, MARCH_2026).usage
    april = make_statement(wallet, MARCH_2026.next).usage

    assert [(line.requests, line.amount_credits) for line in march] == [(1, -25)]
    assert [(line.requests, line.amount_credits) for line in april] == [(0, -3)]
    assert april[0].model_name == "gpt-4"


def test_what_staff_wrote_for_staff_is_not_told(wallet: Wallet, post: Post) -> None:
    post("grant", 500, reason="He threatened to leave")
    post("adjustment", -5, reason="Looks like fraud")
    post("grant", 100, reference="code:7", reason="Code ABCD")

    statement = make_statement(wallet, MARCH_2026)

    assert section(statement, "Gifts and codes") == [("Gift", 500), ("Code ABCD", 100)]
    assert section(statement, "Corrections") == [("Correction", -5)]


def test_another_customers_entries_are_not_in_it(bob: object, wallet: Wallet, post: Post) -> None:
    post("grant", 500)
    LedgerEntry.objects.create(
        wallet=Wallet.objects.exclude(pk=wallet.pk).get(),
        kind="grant",
        amount_credits=7,
        balance_credits=7,
        reference="bobs",
        created_at=MARCH,
    )

    assert make_statement(wallet, MARCH_2026).closing_credits == 500


def test_the_months_go_from_the_first_to_the_present(wallet: Wallet) -> None:
    with time_machine.travel(MARCH, tick=False):
        months = list_months(wallet)

    assert [str(month) for month in months] == ["2026-03", "2026-02", "2026-01"]


@pytest.mark.parametrize(
    ("now", "is_closed"),
    [
        (datetime(2026, 3, 31, 23, 59, tzinfo=UTC), False),
        (datetime(2026, 4, 1, 0, 59, tzinfo=UTC), False),
        (datetime(2026, 4, 1, 1, 0, tzinfo=UTC), True),
    ],
)
def test_a_month_is_closed_an_hour_after_its_end(now: datetime, is_closed: bool) -> None:
    with time_machine.travel(now, tick=False):
        assert MARCH_2026.is_closed is is_closed


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-0", "2026-3", "26-03", "1999-01", "2026-03x", ""]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    assert parse_month(text) is None
