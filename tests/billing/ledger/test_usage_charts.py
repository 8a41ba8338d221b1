"""Bars of usage: where days and hours begin, what they add up to, and what stands beside them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine

from accounts.models import User
from billing.ledger.outlook import next_lots, pace_of, read_outlook
from billing.ledger.usage_charts import GRID_LINES, MOST_GROUPS, OTHER, draw, nice_top
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import RollUpMark
from billing.orders.worth_left import worth_left
from billing.rollups.due import note_booked
from billing.rollups.periods import Step, between, fitting_step, last_hours
from billing.rollups.sweep import roll_up
from tests.billing.views.conftest import NOON, MakeUsage, alices_key, gpt4, use
from tests.desk import make_customer

__all__ = ["alices_key", "gpt4", "use"]

AUCKLAND, BERLIN, NEPAL = (
    ZoneInfo(name) for name in ("Pacific/Auckland", "Europe/Berlin", "Asia/Kathmandu")
)
SECOND = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2026, 3, 28), BERLIN, 24),
        (date(2026, 3, 29), BERLIN, 23),  # clocks are put forward
        (date(2026, 10, 25), BERLIN, 25),  # and back
        (date(2026, 10, 25), ZoneInfo("UTC"), 24),
        (date(2026, 4, 5), AUCKLAND, 25),
    ],
)
def test_a_day_has_the_hours_that_it_has_in_its_zone(day: date, zone: ZoneInfo, hours: int) -> None:
    by_hour = between(day, day, step=Step.HOUR, zone=zone)
    by_day = between(day, day, step=Step.DAY, zone=zone)

    assert len(by_hour.starts) == hours
    assert by_hour.starts[0] == by_day.starts[0]
    assert by_hour.ends_at == by_day.ends_at == by_hour.starts[-1] + timedelta(hours=1)


@pytest.mark.parametrize("zone", [BERLIN, AUCKLAND, NEPAL, ZoneInfo("America/St_Johns")])
def test_every_step_begins_with_a_quarter_of_an_hour(zone: ZoneInfo) -> None:
    """Roll-ups are of quarters of an hour, so none is cut."""
    days = between(date(2026, 1, 1), date(2026, 12, 31), step=Step.DAY, zone=zone)
    hours = last_hours(24, now=NOON + timedelta(minutes=7), zone=zone)

    starts = [*days.starts, *hours.starts, hours.ends_at]
    assert {start.minute % 15 for start in starts} == {0}
    assert hours.starts_at < NOON < hours.ends_at
    assert len(hours.starts) == 24


def test_weeks_begin_on_monday() -> None:
    """2 March 2026 is a Monday."""
    weeks = between(date(2026, 2, 26), SECOND, step=Step.WEEK, zone=ZoneInfo("UTC"))

    assert [start.date() for start in weeks.starts] == [date(2026, 2, 23), SECOND]
    assert weeks.ends_at == datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(("days", "step"), [(1, "hour"), (3, "hour"), (4, "day"), (92, "day")])
def test_the_step_fits_the_days(days: int, step: str) -> None:
    assert fitting_step(SECOND - timedelta(days=days - 1), SECOND) == step
    assert fitting_step(date(2025, 3, 2), SECOND) == "week"


def test_a_request_counts_in_the_day_of_the_readers_zone(alice: User, use: MakeUsage) -> None:
    """Noon UTC on the 2nd is the 3rd in Auckland."""
    use("req_1")
    days = [
        between(SECOND, SECOND + timedelta(days=1), step=Step.DAY, zone=zone)
        for zone in (BERLIN, AUCKLAND)
    ]

    drawn = [draw(wallet_of(alice), period) for period in days]

    assert [[bar.total for bar in chart.bars] for chart in drawn] == [[1_328, 0], [0, 1_328]]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_up_and_what_is_fresh_count_once(alice: User, use: MakeUsage) -> None:
    period = between(SECOND, SECOND, step=Step.HOUR, zone=BERLIN)
    note_booked([use("req_1"), use("req_2", model_name="gpt-5")], [])
    roll_up()
    use("req_3", outcome="broken")

    chart = draw(wallet_of(alice), period, by="outcome")
    models = draw(wallet_of(alice), period, by="model")

    assert RollUpMark.objects.count() == 1
    # 12:00 UTC is the 14th hour of the day in Berlin.
    assert chart.bars[13].values == [2 * 1_328, 1_328]
    assert (chart.total, chart.used.requests) == (3 * 1_328, 3)
    assert [group.name for group in chart.groups] == ["Completed", "Broke off"]
    assert [group.total for group in models.groups] == [2 * 1_328, 1_328]


def test_what_ends_before_or_after_the_period_is_left_out(alice: User, use: MakeUsage) -> None:
    period = between(SECOND, SECOND, step=Step.DAY, zone=ZoneInfo("UTC"))
    use("req_before", ended_at=period.starts_at - timedelta(microseconds=1))
    use("req_first", ended_at=period.starts_at)
    use("req_last", ended_at=period.ends_at - timedelta(microseconds=1))
    use("req_after", ended_at=period.ends_at)

    assert draw(wallet_of(alice), period).used.requests == 2


def test_the_smallest_groups_are_one(alice: User, use: MakeUsage) -> None:
    """Of 8 models the 6 greatest have a colour; 1 + 2 are the rest."""
    for number in range(1, 9):
        use(f"req_{number}", model_name=f"m{number}", target_credits=number, charged_credits=number)
    period = between(SECOND, SECOND, step=Step.DAY, zone=BERLIN)

    chart = draw(wallet_of(alice), period, by="model")

    assert [group.name for group in chart.groups] == ["m8", "m7", "m6", "m5", "m4", "m3", OTHER]
    assert chart.bars[0].values == [8, 7, 6, 5, 4, 3, 3]
    assert chart.groups[-1].colour == MOST_GROUPS
    assert sum(part.height for part in chart.bars[0].parts) == pytest.approx(
        100 * 36 / chart.axis[0], abs=0.1
    )


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 4), (4, 4), (5, 8), (9, 12), (100, 100), (101, 120), (402_000, 600_000)],
)
def test_an_axis_ends_with_a_round_figure(highest: int, top: int) -> None:
    assert nice_top(highest) == top
    assert top % GRID_LINES == 0


@time_machine.travel(NOON + timedelta(hours=1), tick=False)
def test_a_month_is_compared_with_the_same_part_of_the_last(alice: User, use: MakeUsage) -> None:
    """100 by noon of 2 March, against 80 by noon of 2 February and 200 in all of it."""
    for name, day, charge in (
        ("now", NOON, 100),
        ("early", datetime(2026, 2, 2, 9, tzinfo=UTC), 80),
        ("late", datetime(2026, 2, 20, 9, tzinfo=UTC), 120),
        ("before", datetime(2026, 1, 31, 23, tzinfo=UTC), 7),
    ):
        use(f"req_{name}", ended_at=day, target_credits=charge, charged_credits=charge)

    days = between(SECOND - timedelta(days=29), SECOND, step=Step.DAY, zone=ZoneInfo("UTC"))
    chart, months = read_outlook(wallet_of(alice), days, now=NOON + timedelta(hours=1))

    assert chart == draw(wallet_of(alice), days)
    assert months.so_far.charged_credits == 100
    assert months.last_so_far.charged_credits == 80
    assert months.last.charged_credits == 200
    assert months.change == "+25%"


def test_a_balance_lasts_as_long_as_its_rate_says(alice: User, use: MakeUsage) -> None:
    """700 in 7 days are 100 a day, which 250 bear for 2 days."""
    period = between(SECOND - timedelta(days=29), SECOND, step=Step.DAY, zone=ZoneInfo("UTC"))
    unused = pace_of(draw(wallet_of(alice), period), 250)
    use("req_1", target_credits=700, charged_credits=700)
    use(
        "req_2",
        ended_at=NOON - timedelta(days=8),
        target_credits=9_000,
        charged_credits=9_000,
    )

    pace = pace_of(draw(wallet_of(alice), period), 250)

    assert unused is None
    assert pace is not None
    assert (pace.day_credits, pace.days_left, pace.is_short) == (100, 2, True)


@pytest.mark.usefixtures("db", "redis_wallets")
def test_lots_are_listed_as_they_are_used_and_worth_what_was_paid() -> None:
    """1,000 credits for $9.00 of which all is left, and a gift, which is used first."""
    buyer = make_customer("buyer@example.com")
    grant_credits(buyer.wallet, credits=50, reason="Thanks")

    lots = next_lots(buyer.wallet)

    assert [(each.source, each.lot.remaining_credits) for each in lots] == [
        ("Gift", 50),
        ("Purchase", 1_000),
    ]
    assert worth_left(buyer.wallet) == [(900, "usd")]
