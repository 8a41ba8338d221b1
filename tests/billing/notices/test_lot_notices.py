"""Credits that expire soon are told of once, a week before."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from accounts.models import User
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import Lot, Notice, NotificationSettings
from billing.notices.expiring_lots import notify_expiring_lots

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def grant(user: User, *, days: int | None) -> Lot:
    with time_machine.travel(NOON, tick=False):
        expires_at = NOON + timedelta(days=days) if days else None
        return grant_credits(
            wallet_of(user), credits=500, reason="He threatened to leave", expires_at=expires_at
        ).lot


def told_after(*, days: float) -> int:
    with time_machine.travel(NOON + timedelta(days=days), tick=False):
        notify_expiring_lots()
    return Notice.objects.filter(kind="lot_expiring").count()


def test_it_is_told_a_week_before_and_once(alice: User) -> None:
    grant(alice, days=30)

    assert [told_after(days=d) for d in (22.9, 23, 24, 29)] == [0, 1, 1, 1]


def test_it_says_how_much_and_when(alice: User) -> None:
    grant(alice, days=30)

    told_after(days=25)

    assert Notice.objects.get().facts == {
        "remaining_credits": 500,
        "expires_at": "2026-04-01T12:00:00+00:00",
        "source": "Gift",
    }


def test_a_short_lot_is_told_of_after_half_its_life(alice: User) -> None:
    grant(alice, days=4)

    assert [told_after(days=d) for d in (0, 1.9, 2)] == [0, 0, 1]


@pytest.mark.usefixtures("unchecked_books")
def test_what_is_used_up_is_not_told(alice: User) -> None:
    lot = grant(alice, days=30)
    Lot.objects.filter(pk=lot.pk).update(remaining_credits=0)

    assert told_after(days=25) == 0


def test_what_has_expired_is_not_told_any_more(alice: User) -> None:
    grant(alice, days=30)

    assert told_after(days=30) == 0


def test_what_never_expires_is_not_told(alice: User) -> None:
    grant(alice, days=None)

    assert told_after(days=1_000) == 0


def test_each_lot_is_told_of(alice: User, bob: User) -> None:
    for user in (alice, alice, bob):
        grant(user, days=30)

    assert told_after(days=25) == 3


def test_switched_off_it_is_not_told(alice: User) -> None:
    grant(alice, days=30)
    NotificationSettings.objects.update(wants_lot_expiring=False)

    assert told_after(days=25) == 0
