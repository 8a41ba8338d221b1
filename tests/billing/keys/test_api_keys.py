"""API keys under races, and what the receipts said of them before their spending was kept."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import ApiKey, User
from billing import migrations
from billing.exceptions import KeyNotUsable, TooManyKeys
from billing.keys.api_keys import (
    adjust_api_key,
    end_rotation,
    issue_api_key,
    revoke_api_key,
    rotate_api_key,
)
from billing.keys.settings import KeySettings, TooManyModels
from billing.models import KeySpending, UsageRecord
from tests import desk
from tests.racing import before_statement, in_background, race


@pytest.mark.django_db(transaction=True)
def test_no_more_keys_than_there_may_be_are_issued_at_once(alice: User, settings: Any) -> None:
    settings.MAX_API_KEYS = 3
    issue_api_key(alice, name="First")

    def issue() -> bool:
        try:
            issue_api_key(User.objects.get(pk=alice.pk), name="Another")
        except TooManyKeys:
            return False
        return True

    issued = race([issue] * 4, meet_at="INSERT")

    assert sorted(issued) == [False, False, True, True]
    assert ApiKey.objects.filter(user=alice).count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_changes_at_once_are_made_one_after_the_other(alice: User) -> None:
    key, _ = issue_api_key(alice, name="CI", settings=KeySettings(monthly_cap_credits=100))

    def double() -> None:
        def change(before: KeySettings) -> KeySettings:
            return KeySettings(monthly_cap_credits=2 * (before.monthly_cap_credits or 0))

        adjust_api_key(ApiKey.objects.get(pk=key.pk), change)

    race([double] * 3, meet_at="UPDATE")

    assert ApiKey.objects.get().monthly_cap_credits == 800


@pytest.mark.django_db(transaction=True)
def test_a_change_waits_for_a_revocation_and_then_changes_nothing(alice: User) -> None:
    key, _ = issue_api_key(alice, name="CI")
    outcome: list[bool] = []

    def change() -> None:
        try:
            adjust_api_key(ApiKey.objects.get(pk=key.pk), lambda _: KeySettings(), name="New")
        except KeyNotUsable:
            outcome.append(False)
        else:
            outcome.append(True)

    with (
        in_background(change) as start,
        # The row is updated, and its change not yet told to the wallet.
        before_statement("billing_wallet", start),
    ):
        revoke_api_key(ApiKey.objects.get(pk=key.pk))

    assert outcome == [False]
    assert ApiKey.objects.get().name == "CI"


@pytest.mark.django_db
def test_a_page_that_was_left_open_does_not_end_a_later_rotation(alice: User) -> None:
    key, _ = issue_api_key(alice, name="CI")
    rotate_api_key(key)
    left_open = ApiKey.objects.get(pk=key.pk)
    end_rotation(ApiKey.objects.get(pk=key.pk))
    rotate_api_key(ApiKey.objects.get(pk=key.pk))
    before = ApiKey.objects.get(pk=key.pk)

    had_one = end_rotation(left_open)

    after = ApiKey.objects.get(pk=key.pk)
    assert not had_one
    assert (after.digest, after.previous_digest) == (before.digest, before.previous_digest)
    assert after.is_rotating(timezone.now())


@pytest.mark.django_db
def test_a_change_that_is_refused_leaves_a_key_as_it_was(alice: User) -> None:
    key, _ = issue_api_key(alice, name="CI", settings=KeySettings(monthly_cap_credits=100))
    models = tuple(f"m{number}" for number in range(201))

    with pytest.raises(TooManyModels, match="At most 200 models; these are 201"):
        adjust_api_key(key, lambda _: KeySettings(allowed_models=models), name="New")

    assert (key.name, KeySettings.of(key)) == ("CI", KeySettings(monthly_cap_credits=100))
    key.refresh_from_db()
    assert (key.name, KeySettings.of(key)) == ("CI", KeySettings(monthly_cap_credits=100))


@pytest.mark.django_db
def test_a_change_keeps_the_expiry_that_was_set_since(alice: User) -> None:
    key, _ = issue_api_key(alice, name="CI")
    ends = timezone.now() + timedelta(days=3)
    adjust_api_key(ApiKey.objects.get(pk=key.pk), lambda _: KeySettings(expires_at=ends), name="CI")

    adjust_api_key(key, lambda now: KeySettings(expires_at=now.expires_at, requests_per_minute=5))

    key.refresh_from_db()
    assert (key.expires_at, key.requests_per_minute) == (ends, 5)


@pytest.mark.django_db
def test_the_migration_sums_up_what_each_key_was_charged_in_each_month() -> None:
    # Its number may change, its name does not.
    (name,) = [
        module.name
        for module in iter_modules(migrations.__path__)
        if module.name.endswith("_key_spending_and_wallet_limits")
    ]
    first, second = (
        desk.make_customer("charlie@example.com"),
        desk.make_customer("dora@example.com"),
    )
    for number, (of, day, charged) in enumerate(
        [
            (first, datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), 1),
            (first, datetime(2026, 2, 1, tzinfo=UTC), 20),
            (first, datetime(2026, 2, 28, 12, tzinfo=UTC), 300),
            (second, datetime(2026, 2, 1, tzinfo=UTC), 4_000),
        ]
    ):
        record = of.record
        record.pk, record.request_id = None, f"old-{number}"
        record.started_at, record.ended_at = day, day
        record.charged_credits = record.target_credits = charged
        record.save(force_insert=True)

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'")
        cursor.execute(import_module(f"billing.migrations.{name}").SUM_UP)

    # Each made one request for 20 credits in March, too.
    summed = KeySpending.objects.values_list("api_key_id", "month", "charged_credits")
    assert sorted(summed) == sorted(
        [
            (first.key.pk, 202_601, 1),
            (first.key.pk, 202_602, 320),
            (first.key.pk, 202_603, 20),
            (second.key.pk, 202_602, 4_000),
            (second.key.pk, 202_603, 20),
        ]
    )
    assert UsageRecord.objects.count() == 6
