"""A month that is over is summed up once, on the first by the reader's clock."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest
import time_machine

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from billing.models import (
    Notice,
    NotificationSettings,
    Order,
    UsageDay,
    UsageRollUp,
    WebhookDelivery,
)
from billing.notices.monthly_summaries import months_before, notify_monthly_summaries
from billing.notices.webhooks.kinds import MONTHLY
from billing.notices.webhooks.switches import Choice, make_webhook
from billing.rollups.days import day_of
from billing.rollups.histogram import BUCKETS
from billing.token_classes import COUNTS
from tests.billing.notices.conftest import Mailbox
from tests.billing.views.conftest import alices_key

__all__ = ["alices_key"]

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)


def spend(key: ApiKey, credits: int, at: datetime, model: str = "gpt-4") -> None:
    """Roll up one request."""
    nothing = (*COUNTS, "write_off_credits", "cost_nanos", "unpriced_requests", "duration_ms")
    sums = {
        "wallet": key.team.wallet,
        "api_key": key,
        "model_name": model,
        "outcome": "completed",
        "requests": 1,
        "charged_credits": credits,
        **dict.fromkeys(nothing, 0),
    }
    histograms = {"durations": [0] * BUCKETS, "first_bytes": [0] * BUCKETS}
    UsageRollUp.objects.create(starts_at=at, **sums, **histograms)
    UsageDay.objects.create(starts_at=day_of(at), **sums)


@pytest.fixture
def busy(alices_key: ApiKey) -> ApiKey:
    """1,000 credits in January; 500 of gpt-4 and 200 of gpt-5 in February; 9 in March."""
    spend(alices_key, 1_000, datetime(2026, 1, 10, tzinfo=UTC))
    spend(alices_key, 500, datetime(2026, 2, 1, tzinfo=UTC))
    spend(alices_key, 200, datetime(2026, 2, 28, 23, 45, tzinfo=UTC), "gpt-5")
    spend(alices_key, 9, datetime(2026, 3, 1, tzinfo=UTC))
    return alices_key


def sum_up(at: datetime = FIRST) -> list[Notice]:
    with time_machine.travel(at, tick=False):
        notify_monthly_summaries()
    return list(Notice.objects.filter(kind="monthly_summary"))


def test_it_says_what_was_spent_by_model_and_key_and_bought(
    busy: ApiKey, order: Order, mailbox: Mailbox
) -> None:
    Order.objects.update(fulfilled_at=datetime(2026, 2, 7, tzinfo=UTC))

    [notice] = sum_up()

    facts = notice.facts
    assert (facts["month"], facts["charged_credits"], facts["before_credits"]) == (
        "2026-02",
        700,
        1_000,
    )
    assert [(each["name"], each["charged_credits"]) for each in facts["by_model"]] == [
        ("gpt-4", 500),
        ("gpt-5", 200),
    ]
    assert [each["charged_credits"] for each in facts["by_key"]] == [700]
    assert facts["orders"] == [
        {"currency": "usd", "amount_cents": order.charged_cents, "credits": order.credits}
    ]
    sent = next(mail for mail in mailbox() if "February 2026" in mail.subject)
    assert "List-Unsubscribe" in sent.extra_headers


def test_it_comes_once_however_often_sweeps_look(busy: ApiKey) -> None:
    assert [len(sum_up()), len(sum_up()), len(sum_up(datetime(2026, 3, 2, tzinfo=UTC)))] == [1] * 3


@pytest.mark.parametrize(
    ("zone", "at", "is_time"),
    [
        ("UTC", datetime(2026, 2, 28, 23, 59, tzinfo=UTC), False),
        ("UTC", datetime(2026, 3, 1, 0, 59, tzinfo=UTC), False),
        ("UTC", datetime(2026, 3, 1, 1, tzinfo=UTC), True),
        ("UTC", datetime(2026, 3, 3, 23, tzinfo=UTC), True),
        ("UTC", datetime(2026, 3, 4, tzinfo=UTC), False),
        ("Asia/Tokyo", datetime(2026, 2, 28, 16, tzinfo=UTC), True),
        ("America/Los_Angeles", datetime(2026, 3, 1, 8, 30, tzinfo=UTC), False),
        ("America/Los_Angeles", datetime(2026, 3, 1, 9, tzinfo=UTC), True),
    ],
)
def test_a_month_ends_by_the_readers_clock(
    busy: ApiKey, alice: User, zone: str, at: datetime, is_time: bool
) -> None:
    User.objects.filter(pk=alice.pk).update(time_zone=zone)

    assert (months_before(at, ZoneInfo(zone)) is not None) is is_time
    assert bool(sum_up(at)) is is_time


def test_a_zone_cuts_the_month_where_it_ends_there(busy: ApiKey, alice: User) -> None:
    """In Tokyo the requests of 28 February, 23:45 UTC, are of March."""
    User.objects.filter(pk=alice.pk).update(time_zone="Asia/Tokyo")

    [notice] = sum_up(datetime(2026, 3, 2, tzinfo=UTC))

    assert notice.facts["charged_credits"] == 500


def test_who_did_nothing_or_does_not_want_it_gets_none(busy: ApiKey, bob: User) -> None:
    own_seat(bob)
    NotificationSettings.objects.update_or_create(
        team=busy.team, user=busy.created_by, defaults={"wants_monthly_summary": False}
    )

    assert sum_up() == []


def test_a_webhook_is_sent_it_once(busy: ApiKey, alice: User) -> None:
    with time_machine.travel(datetime(2026, 2, 1, tzinfo=UTC), tick=False):
        make_webhook(own_seat(alice), Choice("https://example.com/", "json", (MONTHLY,), 1_000))

    sum_up()
    sum_up()

    [delivery] = WebhookDelivery.objects.filter(kind=MONTHLY)
    data = orjson.loads(delivery.body)["data"]
    assert (data["month"], data["charged_credits"]) == ("2026-02", 700)
