"""API keys under races, and what the receipts said of them before their spending was kept."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from billing.exceptions import KeyNotUsable, TooManyKeys
from billing.keys.api_keys import (
    adjust_api_key,
    end_rotation,
    issue_api_key,
    revoke_api_key,
    rotate_api_key,
)
from billing.keys.settings import KeySettings, TooManyModels
from tests.racing import before_statement, in_background, race


@pytest.mark.django_db(transaction=True)
def test_no_more_keys_than_there_may_be_are_issued_at_once(alice: User, settings: Any) -> None:
    settings.MAX_API_KEYS = 3
    issue_api_key(own_seat(alice), name="First")

    def issue() -> bool:
        try:
            issue_api_key(own_seat(User.objects.get(pk=alice.pk)), name="Another")
        except TooManyKeys:
            return False
        return True

    issued = race([issue] * 4, meet_at="INSERT")

    assert sorted(issued) == [False, False, True, True]
    assert ApiKey.objects.filter(created_by=alice).count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_changes_at_once_are_made_one_after_the_other(alice: User) -> None:
    key, _ = issue_api_key(
        own_seat(alice), name="CI", settings=KeySettings(monthly_cap_credits=100)
    )

    def double() -> None:
        def change(before: KeySettings) -> KeySettings:
            return KeySettings(monthly_cap_credits=2 * (before.monthly_cap_credits or 0))

        adjust_api_key(ApiKey.objects.get(pk=key.pk), change)

    race([double] * 3, meet_at="UPDATE")

    assert ApiKey.objects.get().monthly_cap_credits == 800


@pytest.mark.django_db(transaction=True)
def test_a_change_waits_for_a_revocation_and_then_changes_nothing(alice: User) -> None:
    key, _ = issue_api_key(own_seat(alice), name="CI")
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
        before_statement('UPDATE "billing_wallet"', start),
    ):
        revoke_api_key(ApiKey.objects.get(pk=key.pk))

    assert outcome == [False]
    assert ApiKey.objects.get().name == "CI"


@pytest.mark.django_db
def test_a_page_that_was_left_open_does_not_end_a_later_rotation(alice: User) -> None:
    key, _ = issue_api_key(own_seat(alice), name="CI")
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
    key, _ = issue_api_key(
        own_seat(alice), name="CI", settings=KeySettings(monthly_cap_credits=100)
    )
    models = tuple(f"m{number}" for number in range(201))

    with pytest.raises(TooManyModels, match="At most 200 models; these are 201"):
        adjust_api_key(key, lambda _: KeySettings(allowed_models=models), name="New")

    assert (key.name, KeySettings.of(key)) == ("CI", KeySettings(monthly_cap_credits=100))
    key.refresh_from_db()
    assert (key.name, KeySettings.of(key)) == ("CI", KeySettings(monthly_cap_credits=100))


@pytest.mark.django_db
def test_a_change_keeps_the_expiry_that_was_set_since(alice: User) -> None:
    key, _ = issue_api_key(own_seat(alice), name="CI")
    ends = timezone.now() + timedelta(days=3)
    adjust_api_key(ApiKey.objects.get(pk=key.pk), lambda _: KeySettings(expires_at=ends), name="CI")

    adjust_api_key(key, lambda now: KeySettings(expires_at=now.expires_at, requests_per_minute=5))

    key.refresh_from_db()
    assert (key.expires_at, key.requests_per_minute) == (ends, 5)
