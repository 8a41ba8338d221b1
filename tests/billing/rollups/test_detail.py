"""Quarters of an hour that are old go, and every sum that is asked for stays."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from billing.margin.reads import read_margins
from billing.models import RollUpRange, SiteRollUp, UsageDay, UsageRecord, UsageRollUp
from billing.rollups import checks
from billing.rollups.detail import forget_quarters, gone_before
from billing.rollups.due import note_booked
from billing.rollups.periods import Step, between
from billing.rollups.quarters import quarter_of
from billing.rollups.reads import sum_by_step
from billing.rollups.rebuild import find_differences, rebuild
from billing.rollups.sweep import roll_up
from billing.upkeep.retention import delete_old
from tests import desk

EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST = datetime(2026, 4, 1, tzinfo=UTC)
KEPT_FROM = FIRST + 4 * DAY
NEW_YORK, KIRITIMATI = ZoneInfo("America/New_York"), ZoneInfo("Pacific/Kiritimati")


@pytest.fixture(autouse=True)
def later(settings: Settings) -> Iterator[None]:
    """A hundred days after the fourth day has ended."""
    settings.ROLL_UP_DETAIL_DAYS = 100
    with time_machine.travel(KEPT_FROM + 100 * DAY + timedelta(hours=1)):
        yield


@pytest.fixture
def buyer(db: None) -> desk.Buyer:
    """A customer who has made one request a month before."""
    return desk.make_customer("alice@example.com")


def book(buyer: desk.Buyer, ended: list[datetime]) -> list[UsageRecord]:
    """Roll up receipts that ended then, 20 credits each."""
    first = UsageRecord.objects.count()
    made = []
    for number, at in enumerate(ended):
        record = desk.make_usage(buyer.wallet, buyer.key, request_id=f"r{first + number}")
        record.started_at, record.ended_at = at - timedelta(seconds=1), at
        record.cost_nanos, record.income_micros = 7, {"usd": 5}
        record.save()
        made.append(record)
    note_booked(made, [])
    roll_up()
    return made


@pytest.fixture
def booked(buyer: desk.Buyer) -> list[UsageRecord]:
    """Two receipts on each of ten days, at one and at eleven o'clock in the evening, UTC."""
    hours = (timedelta(hours=1), timedelta(hours=23))
    return book(buyer, [FIRST + day * DAY + hour for day in range(10) for hour in hours])


@pytest.fixture
def forgotten(booked: list[UsageRecord]) -> list[UsageRecord]:
    assert (forget_quarters(), forget_quarters()) == (0, 9)
    return booked


def charged(buyer: desk.Buyer, zone: ZoneInfo, *, first: int, last: int) -> list[int]:
    """Return what each day of a zone was charged, by its number from the first of April on."""
    day = FIRST.date()
    period = between(day + first * DAY, day + last * DAY, step=Step.DAY, zone=zone)
    found = sum_by_step(buyer.wallet, period)
    return [
        found[(step,)].charged_credits if (step,) in found else 0
        for step in range(1, len(period.starts) + 1)
    ]


def audited() -> list[Any]:
    with connection.cursor() as cursor:
        found: list[Any] = []
        for query in checks.QUERIES:
            cursor.execute(query)
            found += cursor.fetchall()
        return found


def test_days_go_that_are_old_and_their_sums_stay(
    buyer: desk.Buyer, booked: list[UsageRecord]
) -> None:
    margins = read_margins("customer", since=FIRST.date(), until=FIRST.date() + 9 * DAY)
    bars = charged(buyer, ZoneInfo("UTC"), first=-1, last=10)

    assert (forget_quarters(), delete_old(), forget_quarters()) == (0, 9, 0)

    assert UsageRollUp.objects.filter(starts_at__lt=KEPT_FROM).count() == 0
    assert UsageRollUp.objects.filter(starts_at__gte=KEPT_FROM).count() == 12
    assert SiteRollUp.objects.count() == 21
    assert charged(buyer, ZoneInfo("UTC"), first=-1, last=10) == bars == [0, *[40] * 10, 0]
    assert read_margins("customer", since=FIRST.date(), until=FIRST.date() + 9 * DAY) == margins
    assert audited() == find_differences(*EVER) == []


def test_nothing_goes_while_days_are_still_made_of_quarters(booked: list[UsageRecord]) -> None:
    RollUpRange.objects.create(days_from=date(9999, 12, 31))

    assert (forget_quarters(), forget_quarters()) == (0, 0)

    assert UsageRollUp.objects.count() == 21


def test_each_old_day_counts_in_the_day_that_most_of_it_is_in(
    buyer: desk.Buyer, forgotten: list[UsageRecord]
) -> None:
    """In New York a day (UTC) begins at eight in the evening before, in Kiritimati at two in the
    afternoon: most of it is in the next day there.
    """
    in_new_york = charged(buyer, NEW_YORK, first=-1, last=10)
    in_kiritimati = charged(buyer, KIRITIMATI, first=-1, last=11)

    # Four old days, then by the reader's midnight: the fifth's first hour is the evening before.
    assert in_new_york == [0, 40, 40, 40, 60, *[40] * 5, 20, 0]
    assert in_kiritimati == [0, 0, 40, 40, 40, 60, *[40] * 5, 20, 0]
    assert sum(in_new_york) == sum(in_kiritimati) == 400


def test_what_is_booked_or_raised_late_is_in_the_sums(
    buyer: desk.Buyer, forgotten: list[UsageRecord]
) -> None:
    book(buyer, [FIRST + timedelta(hours=5)])
    UsageRecord.objects.filter(pk=forgotten[0].pk).update(target_credits=90, charged_credits=90)
    note_booked([], [(buyer.wallet.pk, forgotten[0].ended_at)])
    roll_up()

    assert charged(buyer, ZoneInfo("UTC"), first=0, last=3) == [20 + 90 + 20, 40, 40, 40]
    assert audited() == find_differences(*EVER) == []
    with time_machine.travel(KEPT_FROM + 101 * DAY + timedelta(hours=1)):
        forget_quarters()
    assert not UsageRollUp.objects.filter(starts_at__lt=KEPT_FROM + DAY).exists()
    assert audited() == []


def test_a_rebuild_of_old_days_makes_no_quarters(forgotten: list[UsageRecord]) -> None:
    UsageDay.objects.filter(starts_at=FIRST).update(charged_credits=41)
    SiteRollUp.objects.filter(starts_at=quarter_of(forgotten[0].ended_at)).update(requests=9)
    found = [what for what, _ in audited()]

    wrong = rebuild(*EVER)

    for what in ("roll-ups of wallet", "1 days of wallet", "roll-up of the site"):
        assert [each for each in found if each.startswith(what)], what
    assert {each.table for each in wrong} == {
        "billing_siterollup",
        "billing_usageday",
        "billing_keyspan",
    }
    assert not UsageRollUp.objects.filter(starts_at__lt=KEPT_FROM).exists()
    assert audited() == find_differences(*EVER) == []


def test_only_who_reads_far_back_is_told(forgotten: list[UsageRecord]) -> None:
    assert gone_before(FIRST) == KEPT_FROM
    assert gone_before(KEPT_FROM) is None
    assert gone_before(KEPT_FROM + 5 * DAY) is None


def test_the_page_says_where_days_are_cut_and_has_no_hours(
    buyer: desk.Buyer, forgotten: list[UsageRecord], client: Client
) -> None:
    buyer.user.time_zone = "America/New_York"
    buyer.user.save()
    client.force_login(buyer.user)
    url = reverse("dashboard-usage")

    old = client.get(url, {"since": "2026-04-02", "until": "2026-04-03"})
    young = client.get(url, {"since": "2026-04-06", "until": "2026-04-07"})
    hours = client.get(url, {"since": "2026-04-02", "until": "2026-04-03", "step": "hour"})

    note = "a day of the chart begins at midnight UTC"
    assert note in old.content.decode()
    assert old.context["chart"].period.step == Step.DAY
    assert note not in young.content.decode()
    assert young.context["chart"].period.step == Step.HOUR
    assert hours.status_code == 400
    assert "too long ago for bars per hour" in hours.content.decode()
