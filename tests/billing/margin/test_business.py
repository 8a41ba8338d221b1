"""The desk's first page: how the business does, and who sees what of it."""

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from billing.keys.refusals import Refusal, add_refusals
from billing.ledger.credits import post_credit
from billing.ledger.lot_money import Paid
from billing.ledger.references import Grant
from billing.margin.business import Figures, measure_business, read_business
from billing.models import (
    ExchangeRate,
    KeySpan,
    LedgerEntry,
    Lot,
    Revenue,
    RollUpRange,
    UsageRecord,
)
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from tests import desk


@pytest.fixture
def alice(unchecked_books: None) -> desk.Buyer:
    """1,000 credits bought just now; 20 of them used, in 2026-03."""
    cache.clear()
    buyer = desk.make_customer("alice@example.com")
    Lot.objects.update(currency="usd", paid_micros=9_000_000, remaining_credits=980)
    return buyer


def make_request(buyer: desk.Buyer, name: str, **fields: Any) -> None:
    record = desk.make_usage(buyer.wallet, buyer.key, request_id=name)
    values = {
        "provider_name": "acme",
        "started_at": timezone.now() - timedelta(seconds=1),
        "ended_at": timezone.now(),
        "cost_nanos": 60_000_000,
        "income_micros": {"usd": 180_000},
        **fields,
    }
    for field, value in values.items():
        setattr(record, field, value)
    record.save()


def roll_up_all() -> None:
    note_booked(UsageRecord.objects.all(), [])
    roll_up()


def earn(
    buyer: desk.Buyer, micros: int, *, kind: str, days_ago: int, currency: str = "usd"
) -> None:
    Revenue.objects.create(
        order=buyer.order,
        kind=kind,
        currency=currency,
        micros=micros,
        created_at=timezone.now() - timedelta(days=days_ago),
    )


def figures() -> dict[str, tuple[Figures, Figures]]:
    return {each.title: (each.now, each.before) for each in measure_business().periods}


def test_each_period_has_its_own_sums_and_those_before(alice: desk.Buyer) -> None:
    now = timezone.now()
    make_request(alice, "r1")
    make_request(alice, "r2", ended_at=now - timedelta(days=1), outcome="broken")
    make_request(alice, "r3", ended_at=now - timedelta(days=10))
    roll_up_all()
    earn(alice, 9_000_000, kind="sale", days_ago=8)
    earn(alice, -2_000_000, kind="return", days_ago=0)

    found = figures()

    used = {
        title: (now.margin.charged_credits, before.margin.charged_credits)
        for title, (now, before) in found.items()
    }
    assert used == {"Today": (20, 20), "7 days": (40, 20), "30 days": (60, 0)}
    revenue = {title: (now.revenue, before.revenue) for title, (now, before) in found.items()}
    assert revenue == {
        "Today": ({"usd": -2_000_000}, {}),
        "7 days": ({"usd": -2_000_000}, {"usd": 9_000_000}),
        "30 days": ({"usd": 7_000_000}, {}),
    }
    week, _ = found["7 days"]
    assert week.failed_percent == Decimal(50)
    assert (week.active_customers, week.new_customers) == (1, 1)
    month, _ = found["30 days"]
    assert (month.credits_sold, month.margin.margin) == (1_000, Decimal("0.36"))


def test_customers_are_counted_while_the_sums_of_days_are_still_being_made(
    alice: desk.Buyer,
) -> None:
    make_request(alice, "r1")
    roll_up_all()
    RollUpRange.objects.update_or_create(
        defaults={"days_from": timezone.now().date() + timedelta(days=1)}
    )
    KeySpan.objects.all().delete()

    week, before = figures()["7 days"]

    assert (week.active_customers, before.active_customers) == (1, 0)


def test_requests_that_no_upstream_took_are_errors_and_callers_faults_are_not(
    alice: desk.Buyer,
) -> None:
    make_request(alice, "r1")
    make_request(alice, "r2", outcome="broken")
    roll_up_all()
    now = int(timezone.now().timestamp())
    of_alice = (alice.wallet.pk, alice.key.pk)
    before = figures()
    add_refusals(
        {
            Refusal(*of_alice, 503, "overloaded"): (2, now),
            Refusal(*of_alice, 502, "upstream_error"): (1, now - 8 * 86_400),
            Refusal(*of_alice, 429, "insufficient_quota"): (50, now),
        }
    )

    found = figures()

    def gained(title: str, name: str) -> tuple[int, int]:
        pairs = zip(found[title], before[title], strict=True)
        now, then = (getattr(late, name) - getattr(early, name) for late, early in pairs)
        return now, then

    assert [gained(title, "unserved") for title in found] == [(2, 0), (2, 1), (3, 0)]
    assert [gained(title, "refused") for title in found] == [(50, 0)] * 3
    today, _ = found["Today"]
    asked = 2 + today.unserved
    assert today.failed_percent == 100 * Decimal(1 + today.unserved) / asked
    assert measure_business().days[-1].failed == 1 + today.unserved


def test_what_is_unspent_is_told_with_what_was_paid_for_it(alice: desk.Buyer) -> None:
    desk.make_customer("bob@example.com")

    [gifts, paid] = measure_business().unspent

    assert (gifts.currency, gifts.credits, gifts.micros) == ("", 1_000, 0)
    # 9.00 for 1,000, of which 20 are used.
    assert (paid.currency, paid.credits, paid.micros) == ("usd", 980, 8_820_000)


def test_what_was_unspent_when_each_period_began_is_told(alice: desk.Buyer) -> None:
    now = timezone.now()
    Lot.objects.update(created_at=now - timedelta(days=10), remaining_credits=955)
    desk.make_customer("bob@example.com")
    make_request(alice, "r1", ended_at=now - timedelta(days=3))
    LedgerEntry.objects.create(
        wallet=alice.wallet,
        kind="expiry",
        amount_credits=-25,
        balance_credits=955,
        reference="expiry:1",
        sold_for={"usd": 225_000},
    )
    roll_up_all()

    found = figures()

    told = [
        (each.liability.credits, each.liability.micros) for pair in found.values() for each in pair
    ]
    # Bob's 1,000 are a gift of today. Alice's 1,000 had cost 9.00 ten days ago.
    at_the_end, before_today = (1_955, {"usd": 8_595_000}), (980, {"usd": 8_820_000})
    before_this_week, before_this_month = (1_000, {"usd": 9_000_000}), (0, {"usd": 0})
    assert told[::2] == [at_the_end] * 3
    assert told[1::2] == [before_today, before_this_week, before_this_month]


def test_what_is_not_rolled_up_yet_is_spent_all_the_same(alice: desk.Buyer) -> None:
    Lot.objects.update(remaining_credits=960)
    make_request(alice, "r1")
    note_booked(UsageRecord.objects.filter(request_id="r1"), [])
    _, never_rolled_up = figures()["Today"]
    roll_up()
    Lot.objects.update(remaining_credits=940)
    make_request(alice, "r2")
    note_booked(UsageRecord.objects.filter(request_id="r2"), [])

    _, rolled_up_before = figures()["Today"]

    # 1,000 of today, 20 of which were used in 2026-03, as the books of this test have it.
    assert never_rolled_up.liability.credits == -20
    assert rolled_up_before.liability == never_rolled_up.liability


def test_what_was_unspent_is_what_was_measured_then(alice: desk.Buyer) -> None:
    credit = partial(post_credit, alice.wallet.pk, reference=Grant(uuid4()))
    credit(kind="grant", amount_credits=70)
    at_midnight = figures()["Today"][0].liability
    with time_machine.travel(timezone.now() + timedelta(days=1), tick=False):
        paid = Paid(7_000_000, "eur")
        credit(kind="purchase", amount_credits=900, paid=paid)
        make_request(alice, "r1")
        Lot.objects.filter(currency="usd").update(remaining_credits=960)
        roll_up_all()

        now, before = figures()["Today"]

    assert now.liability.credits == at_midnight.credits + 900 - 20
    assert before.liability.credits == at_midnight.credits
    assert before.liability.micros == {**at_midnight.micros, "eur": 0}


def test_credits_of_which_nobody_knows_the_price_are_told(alice: desk.Buyer) -> None:
    Lot.objects.update(currency="", paid_micros=None)

    [unspent] = measure_business().unspent

    assert (unspent.credits, unspent.unknown_credits, unspent.micros) == (980, 980, 0)


def test_the_worst_provider_comes_first(alice: desk.Buyer) -> None:
    make_request(alice, "r1", provider_name="good")
    make_request(alice, "r2", provider_name="bad", outcome="abandoned")
    roll_up_all()

    providers = measure_business().providers

    assert [(each.provider, each.failed_percent) for each in providers] == [
        ("bad", Decimal(100)),
        ("good", Decimal(0)),
    ]
    assert providers[0].median_ms == providers[0].slow_ms
    assert [each.margin.margin for each in providers] == [Decimal("0.12")] * 2


def test_the_chart_of_revenue_is_converted_by_the_rate_of_its_day(alice: desk.Buyer) -> None:
    earn(alice, 2_000_000, kind="sale", days_ago=0, currency="eur")
    today = timezone.now().date()
    ExchangeRate.objects.create(currency="eur", day=today, rate=Decimal("1.5"))

    assert measure_business().days[-1].revenue == 3


def test_the_page_reads_what_was_measured(alice: desk.Buyer) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    measured = measure_business()
    make_request(alice, "r1")
    roll_up_all()

    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = root.get("/admin/")

    assert page.context["business"].measured_at == measured.measured_at
    tables = ("billing_siterollup", "billing_usagerollup", "billing_revenue", "billing_lot")
    assert not [q for q in queries if any(f'FROM "{name}"' in q["sql"] for name in tables)]
    assert read_business().measured_at == measured.measured_at


def test_who_may_not_see_margins_sees_use_alone(alice: desk.Buyer) -> None:
    make_request(alice, "r1")
    roll_up_all()
    owner = desk.make_staff("owner@example.com", "billing.view_margin")
    support = desk.make_staff("support@example.com", "billing.view_usagerecord")
    stranger = desk.make_staff("new@example.com")

    def page(browser: Client) -> str:
        return browser.get("/admin/").content.decode()

    assert "Upstream cost" in page(owner)
    assert "Paid for them" in page(owner)
    assert "$0.12 (66.7 %)" in page(owner)
    assert "Margin of 7 days" not in page(support)
    assert "Credits used" in page(support)
    for secret in ("Upstream cost", "Paid for them", "Revenue", "66.7 %"):
        assert secret not in page(support)
    assert "Credits used" not in page(stranger)
