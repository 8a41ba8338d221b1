"""A key that suddenly spends much more than it did is told of."""

from datetime import datetime, timedelta

import pytest
import time_machine

from accounts.models import ApiKey, User
from billing.keys.api_keys import revoke_api_key
from billing.ledger.wallets import wallet_of
from billing.models import Notice, UsageRollUp
from billing.notices.spend_spikes import LEAST_CREDITS, notify_spend_spikes
from billing.rollups.histogram import BUCKETS
from billing.rollups.quarters import quarter_of
from billing.token_classes import COUNTS
from tests.billing.notices.conftest import Mailbox
from tests.billing.views.conftest import NOON, alices_key

__all__ = ["alices_key"]

NOW = NOON + timedelta(minutes=40)


def spend(key: ApiKey, credits: int, *, ago: timedelta = timedelta()) -> None:
    """Roll up what a key was charged in one quarter of an hour."""
    UsageRollUp.objects.create(
        wallet=key.team.wallet,
        api_key=key,
        starts_at=quarter_of(NOW - ago),
        model_name="gpt-4",
        outcome="completed",
        requests=1,
        charged_credits=credits,
        **dict.fromkeys(
            (*COUNTS, "write_off_credits", "cost_nanos", "unpriced_requests", "duration_ms"), 0
        ),
        durations=[0] * BUCKETS,
        first_bytes=[0] * BUCKETS,
    )


def told(at: datetime = NOW) -> list[Notice]:
    with time_machine.travel(at, tick=False):
        notify_spend_spikes()
    return list(Notice.objects.filter(kind=Notice.Kind.SPEND_SPIKE))


@pytest.mark.parametrize(
    ("before", "now", "is_told"),
    [
        (100_000, 300_000, False),
        (100_000, 300_001, True),
        (10, LEAST_CREDITS - 1, False),
        (10, LEAST_CREDITS, True),
        (0, 5_000_000, False),  # nothing to compare with
    ],
)
def test_more_than_three_times_the_busiest_hour_is_a_leap(
    alices_key: ApiKey, before: int, now: int, is_told: bool
) -> None:
    if before:
        spend(alices_key, before, ago=timedelta(days=2))
    spend(alices_key, now)

    assert bool(told()) is is_told


def test_a_job_that_runs_once_a_day_is_none(alices_key: ApiKey) -> None:
    for day in range(7):
        spend(alices_key, 400_000, ago=timedelta(days=day))

    assert told() == []


def test_quarters_of_the_last_hour_are_added_up(alices_key: ApiKey) -> None:
    """Four quarters of 80,000 are 320,000, above 3 × 100,000."""
    spend(alices_key, 100_000, ago=timedelta(days=1))
    for quarter in range(4):
        spend(alices_key, 80_000, ago=timedelta(minutes=15 * quarter))

    (notice,) = told()

    assert notice.facts["spent_credits"] == 320_000
    assert notice.facts["usual_credits"] == 100_000


def test_it_is_told_once_a_day(alices_key: ApiKey) -> None:
    spend(alices_key, 10, ago=timedelta(days=1))
    spend(alices_key, 500_000)

    assert [len(told()), len(told()), len(told(NOW + timedelta(minutes=10)))] == [1, 1, 1]


def test_what_is_older_than_a_week_is_not_compared(alices_key: ApiKey) -> None:
    spend(alices_key, 400_000, ago=timedelta(days=9))
    spend(alices_key, 10, ago=timedelta(days=1))
    spend(alices_key, 500_000)

    assert len(told()) == 1


def test_a_revoked_key_is_not_told_of(alices_key: ApiKey) -> None:
    spend(alices_key, 10, ago=timedelta(days=1))
    spend(alices_key, 500_000)
    revoke_api_key(alices_key)

    assert told() == []


def test_the_mail_leads_to_the_page_that_revokes(
    alice: User, alices_key: ApiKey, mailbox: Mailbox
) -> None:
    assert wallet_of(alice)
    spend(alices_key, 10, ago=timedelta(days=1))
    spend(alices_key, 500_000)
    told()

    mail = next(mail for mail in mailbox() if "more than usual" in mail.subject)

    assert "500,000 credits" in mail.body
    assert f"/dashboard/keys/{alices_key.pk}/pause/" in mail.body
    assert alices_key.hint in mail.subject
