"""What may go is deleted once it is old, and nothing else is."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db.models import Model
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from billing.models import LedgerEntry, Lot, Notice, Order, SignIn, StripeEvent, UsageRecord
from billing.upkeep.retention import RULES, delete_old

pytestmark = pytest.mark.django_db(transaction=True)

BOOKS = {LedgerEntry, Lot, Order, UsageRecord}


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> None:
    settings.STRIPE_EVENT_DAYS, settings.NOTICE_DAYS, settings.SIGN_IN_DAYS = 31, 180, 30


def ago(days: int) -> datetime:
    return timezone.now() - timedelta(days=days)


def names(model: type[Model], column: str) -> list[Any]:
    return sorted(model._default_manager.values_list(column, flat=True))


def test_events_of_stripe_go_once_they_are_processed() -> None:
    for name, days, is_processed in [
        ("old", 32, True),
        ("older", 60, True),
        ("open", 60, False),
        ("young", 30, True),
    ]:
        at = ago(days)
        StripeEvent.objects.create(
            event_id=name,
            kind="price.created",
            payload={},
            received_at=at,
            processed_at=at if is_processed else None,
        )

    assert delete_old(batch=1) == 2

    assert names(StripeEvent, "event_id") == ["open", "young"]


def test_mails_go_once_they_are_sent_or_given_up(alice: User) -> None:
    for name, days, state in [
        ("sent", 181, {"sent_at": ago(181)}),
        ("given up", 181, {"given_up_at": ago(170)}),
        ("waits", 900, {}),
        ("young", 179, {"sent_at": ago(179)}),
    ]:
        Notice.objects.create(
            user=alice, kind="new_key", reference=name, created_at=ago(days), **state
        )

    assert delete_old() == 2

    assert names(Notice, "reference") == ["waits", "young"]


def test_browsers_go_that_nobody_signs_in_from(alice: User) -> None:
    for name, days in [("old", 31), ("young", 29)]:
        SignIn.objects.create(user=alice, device_digest=name, first_at=ago(500), last_at=ago(days))

    assert delete_old() == 1

    assert names(SignIn, "device_digest") == ["young"]


def test_sessions_go_that_have_ended() -> None:
    Session.objects.create(session_key="over", session_data="", expire_date=ago(1))
    Session.objects.create(session_key="live", session_data="", expire_date=ago(-1))

    assert delete_old() == 1

    assert names(Session, "session_key") == ["live"]


def test_nothing_is_deleted_twice_or_without_need() -> None:
    assert delete_old() == 0


def test_no_rule_is_about_the_books() -> None:
    assert not BOOKS & {rule.model for rule in RULES}
