"""What requests brought in: the parts of what their lots were sold for, to the last millionth."""

from uuid import uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings

from accounts.models import User
from billing.audit.books import audit
from billing.ledger.credits import post_credit
from billing.ledger.debits import ask_debit
from billing.ledger.lot_money import Paid, add_money, part_of
from billing.ledger.references import Grant
from billing.models import Debit, LedgerEntry, Lot, SiteRollUp, UsageRecord
from billing.orders.fulfilment import credit_order, paid_for
from billing.rollups import sweep
from tests.desk import make_order
from tests.till import Till

pytestmark = pytest.mark.django_db(transaction=True)


def buy(till: Till, credits: int, cents: int, currency: str = "usd") -> None:
    """Let Alice's wallet be credited for an order that was paid."""
    order = make_order(
        till.user,
        credits=credits,
        amount_cents=max(1, cents),
        discount_cents=0 if cents else 1,
        paid_cents=cents,
        currency=currency,
        status="open",
        fulfilled_at=None,
        stripe_session_id=None,
    )
    with transaction.atomic():
        credit_order(order, paid_for(order))
        order.save()


def buy_before(till: Till, credits: int) -> None:
    """Credit what was sold before lots knew what was paid for them."""
    post_credit(
        till.wallet.pk,
        kind="grant",
        amount_credits=credits,
        reference=Grant(uuid4()),
        paid=Paid(None),
    )


def use(till: Till, request_id: str, amount: int) -> None:
    till.place(request_id, amount)
    till.settle(request_id, amount)


def income(request_id: str) -> object:
    return UsageRecord.objects.get(request_id=request_id).income_micros


def test_a_request_brings_in_what_its_credits_were_sold_for(till: Till) -> None:
    buy(till, 1_000, 900)

    use(till, "r1", 30)
    till.drain()

    assert income("r1") == {"usd": 270_000}
    assert audit(at_rest=True) == []


def test_what_does_not_divide_is_carried_to_the_next_request(till: Till) -> None:
    buy(till, 3, 1)

    for number in range(3):
        use(till, f"r{number}", 1)
    till.drain()

    assert [income(f"r{number}") for number in range(3)] == [
        {"usd": 3_333},
        {"usd": 3_333},
        {"usd": 3_334},
    ]


def test_gifts_bring_in_nothing(till: Till) -> None:
    till.grant(100)

    use(till, "r1", 30)
    till.drain()

    assert income("r1") == {}


def test_a_request_over_two_lots_brings_in_a_part_of_each(till: Till) -> None:
    buy(till, 10, 1)
    buy(till, 10, 5, "eur")

    use(till, "r1", 15)
    till.drain()

    assert income("r1") == {"usd": 10_000, "eur": 25_000}
    assert audit(at_rest=True) == []


def test_a_lot_of_before_leaves_the_income_unknown(till: Till) -> None:
    buy_before(till, 10)
    buy(till, 10, 1)

    use(till, "r1", 15)
    use(till, "r2", 5)
    till.drain()

    assert (income("r1"), income("r2")) == (None, {"usd": 5_000})


def test_a_raise_adds_to_the_income(till: Till) -> None:
    buy(till, 100, 10)
    till.place("r1", 60)
    till.settle("r1", 20)
    till.drain()

    till.settle("r1", 50)
    till.drain()

    assert income("r1") == {"usd": 50_000}
    assert audit(at_rest=True) == []


def test_roll_ups_have_the_income_of_each_currency(till: Till) -> None:
    buy(till, 10, 1)
    buy(till, 10, 5, "eur")
    till.grant(10)
    use(till, "r1", 15)
    use(till, "r2", 10)
    till.drain()

    sweep.roll_up()

    # The gift is used first. The second request is in both rows, and counts in the first.
    rows = SiteRollUp.objects.order_by("currency")
    columns = ("currency", "requests", "charged_credits", "income_micros")
    assert list(rows.values_list(*columns)) == [
        ("eur", 1, 10, 25_000),
        ("usd", 1, 15, 10_000),
    ]
    assert audit(at_rest=True) == []


def test_a_raise_of_an_unknown_income_is_rolled_up_as_unknown(till: Till) -> None:
    buy_before(till, 10)
    use(till, "r1", 5)
    till.drain()

    sweep.roll_up()

    row = SiteRollUp.objects.get()
    assert (row.currency, row.income_micros, row.unknown_income_requests) == ("", 0, 1)


def test_what_a_clawback_takes_had_been_sold_for_so_much(till: Till) -> None:
    buy(till, 100, 1)
    use(till, "r1", 25)
    till.drain()

    with transaction.atomic():
        ask_debit(
            Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=50)
        )
    till.drain()

    entry = LedgerEntry.objects.get(kind="clawback")
    assert entry.sold_for == {"usd": 5_000}
    assert audit(at_rest=True) == []


def test_a_debt_that_a_purchase_pays_is_told_in_what_the_purchase_cost(till: Till) -> None:
    till.grant(10)
    with transaction.atomic():
        ask_debit(
            Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=30)
        )
    till.drain()

    buy(till, 100, 1)

    assert LedgerEntry.objects.get(reference__startswith="debt:").sold_for == {"usd": 2_000}


def test_the_audit_finds_an_income_that_its_lot_was_not_sold_for(till: Till) -> None:
    buy(till, 10, 1)
    use(till, "r1", 5)
    till.drain()
    UsageRecord.objects.update(income_micros={"usd": 4_999})

    assert [str(each.subject) for each in audit(at_rest=True)] == [f"wallet {till.wallet.pk}"]


lots = strategies.lists(
    strategies.tuples(
        strategies.integers(1, 60),
        strategies.integers(0, 10_000),
        strategies.sampled_from(["usd", "eur", "jpy"]),
    ),
    min_size=1,
    max_size=4,
)
uses = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(["use", "raise", "written off", "clawback"]),
        strategies.integers(1, 40),
    ),
    min_size=1,
    max_size=12,
)


# Each example leaves the wallet empty.
@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lots=lots, uses=uses)
def test_whatever_is_used_and_taken_adds_up_to_what_was_paid(
    alice: User,
    lots: list[tuple[int, int, str]],
    uses: list[tuple[str, int]],
) -> None:
    till = Till(alice)
    left = sum(credits for credits, _, _ in lots)
    for credits, cents, currency in lots:
        buy(till, credits, cents, currency)
    run = uuid4().hex[:8]

    for number, (kind, wanted) in enumerate(uses):
        name = f"{run}-{number}"
        amount = min(wanted, left)
        if not amount:
            break
        if kind == "clawback":
            with transaction.atomic():
                ask_debit(
                    Debit(
                        wallet=till.wallet,
                        kind="clawback",
                        reference=f"refund:{name}",
                        amount_credits=amount,
                    )
                )
        else:
            till.place(name, amount)
            if kind == "raise":
                till.settle(name, amount // 2)
                till.drain()
            # What is beyond the hold and the balance is written off.
            till.settle(name, amount + (1_000 if kind == "written off" else 0))
        till.drain()
        till.wallet.refresh_from_db()
        left = till.posted()

    booked: dict[str, int] | None = {}
    for record in UsageRecord.objects.filter(request_id__startswith=run):
        booked = add_money(booked, record.income_micros)
    for entry in LedgerEntry.objects.filter(reference__startswith=f"refund:{run}"):
        booked = add_money(booked, entry.sold_for)
    expected: dict[str, int] | None = {}
    for lot in Lot.objects.order_by("-pk")[: len(lots)]:
        used = lot.granted_credits - lot.remaining_credits
        assert lot.paid_micros is not None
        worth = part_of(lot.paid_micros, lot.granted_credits, start=0, end=used)
        assert worth == lot.paid_micros or lot.remaining_credits
        expected = add_money(expected, {lot.currency: worth} if worth else {})
    assert booked == expected
    assert [each for each in audit(pause_s=0) if each.invariant == 11] == []
    # The next example begins without credits.
    if left:
        use(till, f"{run}-rest", left)
        till.drain()
