"""Sums by day and span are the sums of receipts, for every time that is asked about."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db.models import F, Sum
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.margin.reads import read_margins
from billing.models import (
    KeySpan,
    RollUpDue,
    RollUpMark,
    RollUpRange,
    SiteRollUp,
    UsageDay,
    UsageRecord,
    UsageRollUp,
)
from billing.rollups.days import cut, cut_steps, make_days
from billing.rollups.due import note_booked
from billing.rollups.periods import Period, Step, between, midnight
from billing.rollups.reads import sum_by_step
from billing.rollups.rebuild import find_differences, rebuild
from billing.rollups.sweep import roll_up
from tests import desk

EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAYS = st.dates(date(2025, 11, 1), date(2026, 4, 1))
# Of which key, how many minutes around noon it ended, and what it cost and brought in.
REQUESTS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(-90 * 1_440, 20 * 1_440),
        st.one_of(st.none(), st.integers(0, 10**6)),
        st.one_of(
            st.none(), st.dictionaries(st.sampled_from(["usd", "eur"]), st.integers(1, 10**6))
        ),
    ),
    min_size=1,
    max_size=12,
)
PERIODS = st.builds(
    lambda since, length, step, zone: between(
        since, since + length * DAY, step=step, zone=ZoneInfo(zone)
    ),
    DAYS,
    st.integers(0, 60),
    st.sampled_from(Step),
    st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York", "Pacific/Auckland"]),
)


@pytest.fixture
def buyers(db: None) -> list[desk.Buyer]:
    return [desk.make_customer(f"{name}@example.com") for name in ("alice", "bob")]


def forget() -> None:
    for model in (UsageRollUp, SiteRollUp, UsageDay, KeySpan, RollUpMark, RollUpDue):
        model.objects.all().delete()


def make_requests(buyers: list[desk.Buyer], requests: list[Any]) -> list[UsageRecord]:
    """Put receipts into the table."""
    first = UsageRecord.objects.count()
    made = []
    for number, (is_first, minutes, cost, income) in enumerate(requests):
        buyer = buyers[not is_first]
        record = desk.make_usage(buyer.wallet, buyer.key, request_id=f"r{first + number}")
        record.ended_at = NOON + timedelta(minutes=minutes)
        record.cost_nanos, record.income_micros = cost, income
        record.save()
        made.append(record)
    return made


@given(requests=REQUESTS, since=DAYS, length=st.integers(0, 130))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_ended_whenever_every_time_adds_up(
    buyers: list[desk.Buyer], requests: list[Any], since: date, length: int
) -> None:
    forget()
    made = make_requests(buyers, requests)
    for some in (made[:2], made[2:]):
        note_booked(some, [])
        roll_up()

    until = since + length * DAY
    assert find_differences(*EVER) == []
    for by in ("key", "customer"):
        for margin in read_margins(by, since=since, until=until):
            column = "api_key" if by == "key" else "wallet"
            own = UsageRecord.objects.filter(
                ended_at__gte=midnight(since),
                ended_at__lt=midnight(until + DAY),
                **{column: margin.group},
            )
            sums = own.aggregate(
                cost=Sum("cost_nanos", default=0), credits=Sum("charged_credits", default=0)
            )
            sold: dict[str, int] = {}
            for income in own.values_list("income_micros", flat=True):
                for currency, micros in (income or {}).items():
                    sold[currency] = sold.get(currency, 0) + micros
            assert (margin.requests, margin.cost_nanos) == (own.count(), sums["cost"])
            assert (margin.charged_credits, margin.sold_micros) == (sums["credits"], sold)


@given(requests=REQUESTS, period=PERIODS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_chart_adds_up_the_receipts_of_each_step_in_every_zone(
    buyers: list[desk.Buyer], requests: list[Any], period: Period
) -> None:
    forget()
    made = make_requests(buyers, requests)
    note_booked(made[:2], [])
    roll_up()

    found = sum_by_step(buyers[0].wallet, period)

    wanted: dict[tuple[int], int] = {}
    # Those of examples before this one are there, too.
    for record in UsageRecord.objects.filter(wallet=buyers[0].wallet):
        if period.starts_at <= record.ended_at < period.ends_at:
            place = (period.index_of(record.ended_at) + 1,)
            wanted[place] = wanted.get(place, 0) + record.charged_credits
    assert {place: used.charged_credits for place, used in found.items()} == wanted


@pytest.mark.parametrize(("days_from", "read"), [(None, 1), (NOON.date() + DAY, 0)])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Honolulu"])
def test_a_chart_reads_days_from_their_sums_once_they_are_made(
    buyers: list[desk.Buyer], zone: str, days_from: date | None, read: int
) -> None:
    forget()
    note_booked(make_requests(buyers, [(True, 0, 7, {})]), [])
    roll_up()
    RollUpRange.objects.all().delete()
    RollUpRange.objects.create(days_from=days_from)
    UsageDay.objects.update(charged_credits=F("charged_credits") + 1)
    days = between(NOON.date() - DAY, NOON.date() + DAY, step=Step.DAY, zone=ZoneInfo(zone))

    found = sum_by_step(buyers[0].wallet, days)

    # A customer has a receipt of 20 credits from the beginning, and this is another.
    assert {step: used.charged_credits for (step,), used in found.items()} == {2: 40 + read}


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("UTC", 0), ("Europe/Berlin", 1), ("Asia/Kolkata", 5.5), ("Pacific/Auckland", 11)],
)
def test_of_each_day_as_much_is_read_by_quarters_as_its_zone_is_away(
    zone: str, hours: float, db: None
) -> None:
    days = between(date(2026, 1, 10), date(2026, 1, 19), step=Step.DAY, zone=ZoneInfo(zone))

    cut = cut_steps(days)

    moved = sum((until - since for since, until in cut.moved), timedelta(0))
    rest = sum((until - since for since, until in cut.rest), timedelta(0))
    # The days (UTC) at both ends are not whole.
    whole = 10 if zone == "UTC" else 9
    assert len(cut.days) == whole
    assert moved == whole * timedelta(hours=hours)
    assert rest == 10 * DAY - whole * DAY


@given(since=DAYS, length=st.integers(0, 400), is_open=st.booleans())
def test_spans_make_up_each_day_once(since: date, length: int, is_open: bool) -> None:
    until = since + length * DAY

    spans = cut(since, until, is_open=is_open)

    covered = [
        start.date() + number * DAY
        for days, starts in spans.items()
        for start in starts
        for number in range(days)
    ]
    wanted = [since + number * DAY for number in range(length + 1)]
    assert sorted(covered)[: length + 1] == wanted
    assert is_open or len(covered) == len(wanted)


@pytest.mark.parametrize("later", range(30))
def test_ninety_days_up_to_now_are_a_dozen_spans_at_most(later: int) -> None:
    since = date(2026, 1, 1) + later * DAY

    spans = cut(since, since + 89 * DAY, is_open=True)

    assert sum(map(len, spans.values())) <= 12


@pytest.fixture
def old(buyers: list[desk.Buyer]) -> list[desk.Buyer]:
    """Receipts of three days that were rolled up before there were sums by day."""
    forget()
    now = timezone.now()
    ended = [int((now - NOON) / timedelta(minutes=1)) - days * 1_440 for days in (0, 1, 40)]
    made = make_requests(buyers, [(True, at, 7, {"usd": 5}) for at in ended])
    note_booked(made, [])
    roll_up()
    UsageDay.objects.all().delete()
    KeySpan.objects.all().delete()
    RollUpRange.objects.create(days_from=date(9999, 12, 31))
    return buyers


def read_all(buyers: list[desk.Buyer]) -> list[tuple[Any, int, int]]:
    today = timezone.now().date()
    rows = read_margins("key", since=today - 89 * DAY, until=today)
    return [(row.group, row.requests, row.cost_nanos) for row in rows]


def test_days_of_before_are_made_an_hour_after_the_first_worker(old: list[desk.Buyer]) -> None:
    whole = [(old[0].key.pk, 3, 21)]
    assert (read_all(old), make_days()) == (whole, 0)

    with time_machine.travel(timezone.now() + timedelta(hours=1, seconds=1)):
        assert make_days() > 40
        assert make_days() == 0
        assert read_all(old) == whole

    assert RollUpRange.objects.get().days_from is None
    assert find_differences(*EVER) == []


def test_a_worker_that_stops_goes_on_where_it_was(old: list[desk.Buyer]) -> None:
    RollUpRange.objects.update(
        seen_at=timezone.now() - 2 * DAY, days_from=timezone.now().date() - 10 * DAY
    )

    # What was made counts; of the rest quarters are read.
    assert read_all(old) == [(old[0].key.pk, 3, 21)]
    assert find_differences(timezone.now() - 60 * DAY, timezone.now() - 20 * DAY) == []
    make_days()

    # The one of 40 days ago, and the customer's own of the fixture.
    assert UsageDay.objects.count() == 2


def test_a_rebuild_mends_days_and_spans(buyers: list[desk.Buyer]) -> None:
    forget()
    made = make_requests(buyers, [(True, 0, 7, {"usd": 5}), (False, 3 * 1_440, 8, None)])
    note_booked(made, [])
    roll_up()
    UsageDay.objects.filter(cost_nanos=7).update(cost_nanos=9)
    KeySpan.objects.filter(days=30, cost_nanos=8).delete()

    wrong = rebuild(NOON, NOON + 4 * DAY)

    assert {each.table for each in wrong} == {"billing_usageday", "billing_keyspan"}
    assert find_differences(*EVER) == []
