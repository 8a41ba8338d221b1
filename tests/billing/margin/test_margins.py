"""What requests brought in and cost, grouped and converted, and the alarms about it."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.margin.alarms import raise_alarms
from billing.margin.ordered import ORDERS, arrange, read_first
from billing.margin.reads import read_margins, total_of
from billing.models import ExchangeRate, InboxItem, UsageRecord
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from proxy.models import Probe
from tests import desk

MARGIN = "/admin/margin/"
TODAY = timezone.now().date()


@pytest.fixture
def alice(db: None) -> desk.Buyer:
    return desk.make_customer("alice@example.com")


def make_request(buyer: desk.Buyer, name: str, **fields: Any) -> UsageRecord:
    """Put a receipt of today into the table: 0.18 brought in, 0.06 paid on."""
    record = desk.make_usage(buyer.wallet, buyer.key, request_id=name)
    values = {
        "provider_name": "acme",
        "ended_at": timezone.now(),
        "cost_nanos": 60_000_000,
        "income_micros": {"usd": 180_000},
        **fields,
    }
    for field, value in values.items():
        setattr(record, field, value)
    record.save()
    return record


def roll_up_all() -> None:
    """Add up what was put into the tables by hand."""
    note_booked(UsageRecord.objects.all(), [])
    roll_up()


def today(by: str, **which: object) -> Any:
    [margin] = read_margins(by, since=TODAY, until=TODAY, **which)
    return margin


def test_a_margin_is_income_without_cost(alice: desk.Buyer) -> None:
    make_request(alice, "r1")
    make_request(alice, "r2")
    roll_up_all()

    for by, group in (
        ("day", TODAY),
        ("model", "gpt-test"),
        ("provider", "acme"),
        ("customer", alice.wallet.pk),
        ("key", alice.key.pk),
    ):
        margin = today(by)
        assert (margin.group, margin.requests) == (group, 2)
        assert (margin.income, margin.cost, margin.margin) == (
            Decimal("0.36"),
            Decimal("0.12"),
            Decimal("0.24"),
        )
        assert margin.share_percent is not None
        assert round(margin.share_percent, 1) == Decimal("66.7")


@pytest.mark.parametrize(
    ("missing", "column"),
    [
        ({"cost_nanos": None}, "unpriced_requests"),
        ({"income_micros": None}, "unknown_income_requests"),
    ],
)
def test_what_is_not_known_leaves_the_share_open(
    alice: desk.Buyer, missing: dict[str, None], column: str
) -> None:
    make_request(alice, "r1", **missing)
    make_request(alice, "r2")
    roll_up_all()

    margin = today("model")

    assert getattr(margin, column) == 1
    assert margin.share_percent is None


def test_a_currency_is_converted_by_the_rate_of_its_day(alice: desk.Buyer) -> None:
    yesterday = timezone.now() - timedelta(days=1)
    make_request(alice, "r1", income_micros={"eur": 1_000_000}, ended_at=yesterday)
    make_request(alice, "r2", income_micros={"eur": 1_000_000})
    roll_up_all()
    ExchangeRate.objects.create(currency="eur", day=date(2020, 1, 1), rate=Decimal("1.10"))
    ExchangeRate.objects.create(currency="eur", day=TODAY, rate=Decimal("1.25"))

    rows = read_margins("day", since=TODAY - timedelta(days=1), until=TODAY)

    incomes = {row.group: row.income for row in rows}
    assert incomes == {TODAY - timedelta(days=1): Decimal("1.10"), TODAY: Decimal("1.25")}
    [whole] = read_margins("model", since=TODAY - timedelta(days=1), until=TODAY)
    assert whole.income == Decimal("2.35")
    assert whole.sold_micros == {"eur": 2_000_000}


def test_a_currency_without_a_rate_is_named_and_not_guessed(alice: desk.Buyer) -> None:
    make_request(alice, "r1", income_micros={"eur": 1_000_000})
    make_request(alice, "r2")
    roll_up_all()
    ExchangeRate.objects.create(currency="eur", day=TODAY + timedelta(days=1), rate=Decimal("1.25"))

    margin = today("model")

    assert (margin.unrated, margin.income) == ({"eur"}, Decimal("0.18"))
    assert margin.share_percent is None


def test_groups_add_up_to_the_same_total(alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")
    make_request(alice, "r1")
    make_request(alice, "r2", provider_name="second", income_micros={"usd": 1, "eur": 2})
    make_request(bob, "r3", income_micros={})
    roll_up_all()

    totals = [
        total_of(read_margins(by, since=TODAY, until=TODAY))
        for by in ("day", "model", "provider", "customer", "key")
    ]

    for total in totals:
        assert total.requests == 3
        assert total.sold_micros == {"usd": 180_001, "eur": 2}
        assert total.cost_nanos == 180_000_000


@pytest.mark.parametrize("order", [f"{sign}{name}" for name in ORDERS for sign in ("", "-")])
def test_the_database_picks_the_rows_that_all_rows_begin_with(
    alice: desk.Buyer, order: str
) -> None:
    bob, carol, dora = (desk.make_customer(f"{n}@example.com") for n in ("bob", "carol", "dora"))
    yesterday = timezone.now() - timedelta(days=1)
    make_request(alice, "r1", income_micros={"eur": 900_000}, ended_at=yesterday)
    make_request(alice, "r2", income_micros={"usd": 70, "eur": 30}, cost_nanos=5)
    make_request(bob, "r3", income_micros={"usd": 800_000})
    make_request(bob, "r4", income_micros={}, charged_credits=90, target_credits=90)
    make_request(carol, "r5", cost_nanos=None)
    make_request(dora, "r6", income_micros={"gbp": 5})
    roll_up_all()
    ExchangeRate.objects.create(currency="eur", day=date(2020, 1, 1), rate=Decimal("1.10"))
    ExchangeRate.objects.create(currency="eur", day=TODAY, rate=Decimal("1.25"))
    days = {"since": TODAY - timedelta(days=6), "until": TODAY}

    found, count = read_first(
        "customer", **days, order=order, most=3, currencies=["usd", "eur", "gbp"]
    )

    whole = arrange(read_margins("customer", **days), order)
    _, value = ORDERS[order.removeprefix("-")]
    assert count == 4
    assert [value(row) for row in found] == [value(row) for row in whole[:3]]
    by_group = {row.group: row for row in whole}
    for row in found:
        same = by_group[row.group]
        row.sold_micros = {name: micros for name, micros in row.sold_micros.items() if micros}
        assert row == same


def test_the_page_shows_every_grouping_and_sorts(alice: desk.Buyer, root: Client) -> None:
    make_request(alice, "r1")
    roll_up_all()

    by_customer = root.get(MARGIN, {"by": "customer", "days": "30", "sort": "margin"})
    odd = root.get(MARGIN, {"by": "planet", "days": "a million", "sort": "-moon"})

    page = by_customer.content.decode()
    assert "alice@example.com" in page
    assert "66.7 %" in page
    assert (odd.context["asked"].by, odd.context["asked"].days) == ("day", 7)
    for by in ("day", "model", "provider", "key"):
        for sort in ("name", "-share", "cost"):
            assert root.get(MARGIN, {"by": by, "sort": sort}).status_code == 200


def test_the_rows_are_in_the_order_that_was_asked_for(alice: desk.Buyer, root: Client) -> None:
    make_request(alice, "r1", provider_name="dear", cost_nanos=900_000_000)
    make_request(alice, "r2", provider_name="cheap", cost_nanos=1)
    roll_up_all()

    def names(sort: str) -> list[str]:
        page = root.get(MARGIN, {"by": "provider", "sort": sort})
        return [name for name, _, _ in page.context["rows"]]

    assert names("-cost") == ["dear", "cheap"]
    assert names("cost") == ["cheap", "dear"]
    assert names("-margin") == ["cheap", "dear"]


@pytest.mark.parametrize("by", ["day", "model", "provider", "customer", "key"])
def test_probes_are_lines_of_their_own_so_that_it_adds_up_to_the_bill(
    by: str, alice: desk.Buyer, root: Client
) -> None:
    make_request(alice, "r1", provider_name="acme")
    roll_up_all()
    for cost_nanos in (5_000_000, None):
        Probe.objects.create(provider_name="acme", model_name="idle", cost_nanos=cost_nanos)
    long_ago = timezone.now() - timedelta(days=40)
    Probe.objects.create(provider_name="acme", model_name="idle", cost_nanos=7, began_at=long_ago)

    page = root.get(MARGIN, {"by": by, "days": "30"})

    [(name, own)] = page.context["own"]
    names = {"day": f"Our probes: {TODAY}", "model": "Our probes: idle"}
    other = "Our probes: acme" if by == "provider" else "Our probes"
    assert name == names.get(by, other)
    assert (own.requests, own.cost, own.unpriced_requests) == (2, Decimal("0.005"), 1)
    total, billed = page.context["total"], page.context["billed"]
    assert (total.requests, total.cost) == (1, Decimal("0.06"))
    assert (billed.cost, billed.margin) == (Decimal("0.065"), Decimal("0.115"))
    assert "Total with our probes" in page.content.decode()


def test_the_page_is_for_staff_with_the_right_to_it(db: None) -> None:
    stranger = desk.make_staff("new@example.com")
    support = desk.make_staff("support@example.com", "billing.view_usagerecord")
    owner = desk.make_staff("owner@example.com", "billing.view_margin")

    assert stranger.get(MARGIN).status_code == 403
    assert support.get(MARGIN).status_code == 403
    assert owner.get(MARGIN).status_code == 200


def test_a_receipt_tells_cost_and_income_to_those_who_may_see_margins(alice: desk.Buyer) -> None:
    record = make_request(alice, "r1", income_micros={"usd": 1_250})
    support = desk.make_staff("support@example.com", "billing.view_usagerecord")
    owner = desk.make_staff("owner@example.com", "billing.view_usagerecord", "billing.view_margin")

    assert b"What it cost us" not in support.get(desk.page_url(record)).content
    assert b"$0.001250" in owner.get(desk.page_url(record)).content


def make_day(buyer: desk.Buyer, days_ago: int, **fields: Any) -> None:
    """Make as many requests of a day as tell something."""
    for number in range(20):
        make_request(
            buyer,
            f"r{days_ago}-{number}",
            ended_at=timezone.now() - timedelta(days=days_ago),
            **fields,
        )


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({}, []),
        ({"cost_nanos": 181_000_000}, ["margin_negative"]),
        # From 66.7 % to 50 %.
        ({"cost_nanos": 90_000_000}, ["margin_falling"]),
        ({"cost_nanos": None}, ["margin_unknown_cost"]),
        # Gifts are meant to cost.
        ({"income_micros": {}}, []),
    ],
)
def test_yesterday_is_looked_at(
    alice: desk.Buyer, fields: dict[str, Any], kinds: list[str]
) -> None:
    make_day(alice, 3)
    make_day(alice, 1, **fields)
    roll_up_all()

    raise_alarms()

    assert list(InboxItem.objects.values_list("kind", flat=True)) == kinds


def test_days_that_were_missed_are_looked_at_too(alice: desk.Buyer) -> None:
    make_day(alice, 3, cost_nanos=181_000_000)
    make_day(alice, 1)
    roll_up_all()

    assert raise_alarms() == 0
    assert raise_alarms(TODAY - timedelta(days=30)) == 1


def test_an_alarm_is_filed_once_while_it_is_open(alice: desk.Buyer) -> None:
    make_day(alice, 1, cost_nanos=181_000_000)
    roll_up_all()

    assert [raise_alarms(), raise_alarms()] == [1, 0]
    InboxItem.objects.update(resolved_at=timezone.now(), resolution="Price raised")
    assert raise_alarms() == 0


def test_a_rate_remembers_who_set_it(root: Client, db: None) -> None:
    answer = root.post(
        "/admin/billing/exchangerate/add/", {"currency": "eur", "day": "2026-11-01", "rate": "1.08"}
    )
    bad = root.post(
        "/admin/billing/exchangerate/add/", {"currency": "eur", "day": "2026-11-02", "rate": "0"}
    )

    assert (answer.status_code, bad.status_code) == (302, 200)
    rate = ExchangeRate.objects.get()
    assert rate.set_by is not None
    assert (rate.set_by.email, rate.rate) == ("root@example.com", Decimal("1.08"))


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))
