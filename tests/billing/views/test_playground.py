"""The playground's page, and the key that it is lent."""

from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import ApiKey, Role, User
from accounts.secrets import digest_of
from accounts.teams.members import own_seat
from billing.keys.api_keys import has_api_keys, issue_api_key, revoke_api_key
from billing.models import Notice
from billing.views.playground import MOST_KEYS_PER_HOUR
from tests.conftest import signed_in
from tests.teams import Crew

URL = "/dashboard/playground/key/"


@pytest.fixture(autouse=True)
def no_counts(db: None) -> None:
    cache.clear()


@pytest.mark.usefixtures("gpt4")
def test_the_page_has_the_models_on_sale_and_no_secret(as_alice: Client, alice: User) -> None:
    page = as_alice.get("/dashboard/playground/").content.decode()

    assert 'value="gpt-4"' in page
    assert "tp_" not in page
    assert not ApiKey.objects.exists()


@pytest.mark.usefixtures("gpt4")
@pytest.mark.parametrize(("language", "shown"), [("en", "1,024"), ("de", "1.024")])
def test_numbers_are_shown_in_the_readers_groups(
    as_alice: Client, language: str, shown: str
) -> None:
    as_alice.cookies["language"] = language

    page = as_alice.get("/dashboard/playground/").content.decode()

    assert f'name="max_tokens" value="{shown}" inputmode="numeric"' in page


def test_a_lent_key_is_short_lived_and_slow(as_alice: Client, alice: User) -> None:
    lent = as_alice.post(URL).json()

    key = ApiKey.objects.get(created_by=alice)
    assert key.digest == digest_of(lent["secret"])
    assert key.is_playground
    assert key.expires_at is not None
    assert timezone.now() < key.expires_at <= timezone.now() + timedelta(hours=1)
    assert (key.requests_per_minute, key.concurrent_requests) == (30, 4)


def test_the_next_secret_ends_the_one_before_and_needs_no_other_key(
    as_alice: Client, alice: User
) -> None:
    first = as_alice.post(URL).json()["secret"]
    second = as_alice.post(URL).json()["secret"]

    key = ApiKey.objects.get(created_by=alice)
    assert first != second
    assert key.digest == digest_of(second)
    assert key.previous_digest is None
    # Its maker is told of the key, and not of each of its secrets.
    assert Notice.objects.filter(user=alice, kind=Notice.Kind.NEW_KEY).count() == 1


def test_a_revoked_one_is_followed_by_another(as_alice: Client, alice: User) -> None:
    as_alice.post(URL)
    revoke_api_key(ApiKey.objects.get(created_by=alice))

    answer = as_alice.post(URL)

    assert answer.status_code == 200
    assert ApiKey.objects.filter(created_by=alice, revoked_at=None).count() == 1


def test_a_key_of_the_same_name_is_left_alone(as_alice: Client, alice: User) -> None:
    own, _ = issue_api_key(own_seat(alice), name="Playground")

    as_alice.post(URL)

    digest = own.digest
    own.refresh_from_db()
    assert (own.digest, own.expires_at) == (digest, None)


def test_it_is_no_first_key_of_ones_own(as_alice: Client, alice: User) -> None:
    as_alice.post(URL)

    assert not has_api_keys(own_seat(alice).team)


def test_the_password_is_asked_for_when_it_was_long_ago(alice: User) -> None:
    client = signed_in(alice)

    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        page = client.get("/dashboard/playground/")
        answer = client.post(URL)

    assert page.status_code == 302
    assert "/accounts/reauthenticate/" in page.headers["Location"]
    assert answer.status_code == 403
    assert not ApiKey.objects.exists()


def test_it_wants_its_own_pages_mark(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    assert client.post(URL).status_code == 403
    assert not ApiKey.objects.exists()


def test_only_so_many_are_lent_within_an_hour(as_alice: Client) -> None:
    statuses = [as_alice.post(URL).status_code for _ in range(MOST_KEYS_PER_HOUR + 1)]

    assert statuses == [200] * MOST_KEYS_PER_HOUR + [429]


def test_too_many_keys_are_told(as_alice: Client, alice: User, settings: Settings) -> None:
    settings.MAX_API_KEYS = 1
    issue_api_key(own_seat(alice), name="Laptop")

    answer = as_alice.post(URL)

    assert answer.status_code == 409
    assert "Revoke one" in answer.json()["error"]


def test_whoever_makes_no_keys_gets_none(acme: Crew) -> None:
    client = acme.browser(Role.BILLING)

    assert client.get(acme.page("playground/")).status_code == 403
    assert client.post(acme.page("playground/key/")).status_code == 403
    assert not ApiKey.objects.exists()
