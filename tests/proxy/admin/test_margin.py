"""What staff read of income and cost."""

from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.models import UsageRecord
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from proxy.upstreams.providers.margin import read_margins
from tests import desk

MARGIN = "/admin/proxy/provider/margin/"


@pytest.fixture
def record(db: None) -> UsageRecord:
    """1,000 credits sold for 9.00, of which a request of today was charged 20."""
    made = desk.make_customer("alice@example.com").record
    made.provider_name, made.ended_at = "acme", timezone.now()
    made.cost_nanos = 60_000_000
    made.save()
    return made


def roll_up_all() -> None:
    """Add up what was put into the tables by hand."""
    note_booked(UsageRecord.objects.all(), [])
    roll_up()


def test_it_is_income_without_cost(record: UsageRecord) -> None:
    roll_up_all()

    [row] = read_margins(days=7)

    # 20 × 9.00 / 1,000, and 0.06 of it paid on.
    assert (row.provider, row.model, row.requests) == ("acme", "gpt-test", 1)
    assert (row.income, row.cost, row.margin) == (
        Decimal("0.18"),
        Decimal("0.06"),
        Decimal("0.12"),
    )
    assert row.share_percent is not None
    assert round(row.share_percent, 1) == Decimal("66.7")


def test_a_cost_that_is_missing_leaves_the_share_open(record: UsageRecord) -> None:
    UsageRecord.objects.update(cost_nanos=None)
    roll_up_all()

    [row] = read_margins(days=7)

    assert (row.cost, row.unpriced) == (Decimal(0), 1)
    assert row.share_percent is None


def test_the_page_shows_it(record: UsageRecord) -> None:
    roll_up_all()
    root = desk.log_in(User.objects.create_superuser("root@example.com"))

    page = root.get(MARGIN, {"days": "30"}).content.decode()
    odd = root.get(MARGIN, {"days": "a million"})

    assert "66.7 %" in page
    assert "9000.00 per" in page
    assert odd.context["days"] == 7


def test_the_page_is_for_staff_with_the_right_to_it(db: None) -> None:
    stranger: Client = desk.make_staff("new@example.com")
    support = desk.make_staff("support@example.com", "billing.view_usagerecord")
    owner = desk.make_staff("owner@example.com", "billing.view_margin")

    assert stranger.get(MARGIN).status_code == 403
    assert support.get(MARGIN).status_code == 403
    assert owner.get(MARGIN).status_code == 200


def test_a_receipt_tells_its_cost_to_those_who_may_see_margins(record: UsageRecord) -> None:
    support = desk.make_staff("support@example.com", "billing.view_usagerecord")
    owner = desk.make_staff("owner@example.com", "billing.view_usagerecord", "billing.view_margin")

    assert b"What it cost us" not in support.get(desk.page_url(record)).content
    assert b"What it cost us" in owner.get(desk.page_url(record)).content
