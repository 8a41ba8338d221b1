"""Changing and rotating a key in the dashboard."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.secrets import digest_of
from accounts.teams.members import own_seat
from billing.keys.api_keys import adjust_api_key, issue_api_key, rotate_api_key
from billing.keys.settings import KeySettings
from billing.ledger.wallets import wallet_of
from billing.models import KeySpending, PublicModel
from billing.wallet.usage import month_of
from tests.billing.views.conftest import ANYWHERE

SECRET = re.compile(r'id="new-secret">(tp_live_[0-9A-Za-z]{38})<')


@pytest.fixture
def gpt_4(db: None) -> PublicModel:
    return PublicModel.objects.create(name="gpt-4")


def url(key: ApiKey, page: str = "") -> str:
    return f"/dashboard/keys/{key.pk}/{page}"


def test_a_key_is_created_with_its_limits(as_alice: Client, gpt_4: PublicModel) -> None:
    as_alice.post(
        "/dashboard/keys/new/",
        {
            "name": "CI",
            "monthly_cap_credits": "5000",
            "lifetime_cap_credits": "0",
            "concurrent_requests": "2",
            "models_scope": "only",
            "allowed_models": ["gpt-4"],
            "networks_scope": "only",
            "allowed_networks": "203.0.113.7, 10.0.0.0/8\n",
        },
    )

    key = ApiKey.objects.get()
    assert (key.monthly_cap_credits, key.lifetime_cap_credits) == (5_000, 0)
    assert (key.concurrent_requests, key.requests_per_minute) == (2, None)
    assert key.allowed_models == ["gpt-4"]
    assert key.allowed_networks == ["203.0.113.7/32", "10.0.0.0/8"]


@pytest.mark.parametrize(
    "values",
    [
        {"monthly_cap_credits": "-1"},
        {"monthly_cap_credits": "1.5"},
        {"lifetime_cap_credits": "1000000000001"},
        {"requests_per_minute": "0"},
        {"requests_per_minute": "601"},
        {"tokens_per_minute": "10000001"},
        {"concurrent_requests": "many"},
        {"models_scope": "only"},
        {"models_scope": "only", "allowed_models": ["gpt-9"]},
        {"models_scope": "some"},
        {"models_scope": ""},
        {"networks_scope": "only"},
        {"networks_scope": "only", "allowed_networks": " ,\n"},
        {"networks_scope": "only", "allowed_networks": "10.0.0.1/8"},
        {"networks_scope": "only", "allowed_networks": "everywhere"},
        {"networks_scope": ""},
    ],
)
def test_limits_that_make_no_sense_are_shown_open_and_change_nothing(
    as_alice: Client, alices_key: ApiKey, values: dict[str, Any]
) -> None:
    created = as_alice.post("/dashboard/keys/new/", {"name": "CI", **ANYWHERE, **values})
    changed = as_alice.post(
        url(alices_key), {"name": "CI", "lifetime": "keep", **ANYWHERE, **values}
    )

    assert created.status_code == changed.status_code == 400
    for answer in (created, changed):
        assert "errorlist" in answer.content.decode()
        assert re.search(r'<details class="limits"\s+open', answer.content.decode())
    assert [key.name for key in ApiKey.objects.all()] == [alices_key.name]


def test_clearing_a_list_does_not_open_a_key(
    as_alice: Client, alices_key: ApiKey, gpt_4: PublicModel
) -> None:
    narrow = KeySettings(allowed_models=("gpt-4",), allowed_networks=("10.0.0.0/8",))
    adjust_api_key(alices_key, lambda _: narrow, name="CI")
    emptied = {"name": "CI", "lifetime": "keep", "models_scope": "only", "networks_scope": "only"}

    refused = as_alice.post(url(alices_key), emptied)
    kept = KeySettings.of(ApiKey.objects.get())
    opened = as_alice.post(url(alices_key), {**emptied, **ANYWHERE, "allowed_models": ["gpt-4"]})

    text = refused.content.decode()
    assert (refused.status_code, opened.status_code) == (400, 302)
    assert "Tick a model." in text
    assert "Name a network." in text
    assert kept == narrow
    assert KeySettings.of(ApiKey.objects.get()) == KeySettings()


def test_more_models_than_a_key_keeps_are_refused(as_alice: Client, alices_key: ApiKey) -> None:
    names = [f"m{number}" for number in range(201)]
    PublicModel.objects.bulk_create(PublicModel(name=name) for name in names)
    many = {"name": "CI", "lifetime": "keep", **ANYWHERE, "models_scope": "only"}

    refused = as_alice.post(url(alices_key), {**many, "allowed_models": names})
    most = as_alice.post(url(alices_key), {**many, "allowed_models": names[1:]})

    assert (refused.status_code, most.status_code) == (400, 302)
    assert "At most 200 models; these are 201." in refused.content.decode()
    assert ApiKey.objects.get().allowed_models == names[1:]


def test_a_key_is_changed_and_its_wallets_version_with_it(
    as_alice: Client, alice: User, alices_key: ApiKey
) -> None:
    before = wallet_of(alice).version

    answer = as_alice.post(
        url(alices_key),
        {"name": "Laptop", "lifetime": "keep", **ANYWHERE, "monthly_cap_credits": "70"},
    )

    alices_key.refresh_from_db()
    assert answer.status_code == 302
    assert (alices_key.name, alices_key.monthly_cap_credits) == ("Laptop", 70)
    assert wallet_of(alice).version > before


def test_an_expiry_stays_unless_another_is_chosen(as_alice: Client, alice: User) -> None:
    ends = timezone.now() + timedelta(days=3)
    key, _ = issue_api_key(own_seat(alice), name="Short", settings=KeySettings(expires_at=ends))

    as_alice.post(url(key), {"name": "Short", "lifetime": "keep", **ANYWHERE})
    kept = ApiKey.objects.get(pk=key.pk).expires_at
    as_alice.post(url(key), {"name": "Short", "lifetime": "", **ANYWHERE})

    assert kept == ends
    assert ApiKey.objects.get(pk=key.pk).expires_at is None


def test_a_customer_keeps_what_staff_allowed_beyond_the_default(
    as_alice: Client, alices_key: ApiKey
) -> None:
    adjust_api_key(alices_key, lambda _: KeySettings(requests_per_minute=5_000), name="Fast")

    kept = as_alice.post(
        url(alices_key),
        {"name": "Fast", "lifetime": "keep", **ANYWHERE, "requests_per_minute": "5000"},
    )
    more = as_alice.post(
        url(alices_key),
        {"name": "Fast", "lifetime": "keep", **ANYWHERE, "requests_per_minute": "5001"},
    )

    assert (kept.status_code, more.status_code) == (302, 400)


def test_it_shows_what_a_key_spent_of_its_caps(as_alice: Client, alices_key: ApiKey) -> None:
    adjust_api_key(alices_key, lambda _: KeySettings(monthly_cap_credits=5_000), name="CI")
    present = month_of(int(timezone.now().timestamp() * 1_000))
    KeySpending.objects.create(api_key=alices_key, month=present, charged_credits=1_200)
    KeySpending.objects.create(api_key=alices_key, month=202_501, charged_credits=34)

    page = " ".join(as_alice.get(url(alices_key)).content.decode().split())
    listed = as_alice.get("/dashboard/keys/").content.decode()

    assert "1,200 of 5,000" in page
    assert "1,234" in page
    assert "1.2k of 5k this month" in listed


def test_a_rotation_shows_the_new_secret_once(as_alice: Client, alices_key: ApiKey) -> None:
    asked = as_alice.get(url(alices_key, "rotate/")).content.decode()
    made = as_alice.post(url(alices_key, "rotate/"), {"overlap": "24"})
    later = as_alice.get(url(alices_key)).content.decode()

    found = SECRET.search(made.content.decode())
    rotated = ApiKey.objects.get()
    assert SECRET.search(asked) is None
    assert found is not None
    assert rotated.digest == digest_of(found[1])
    assert rotated.previous_digest == alices_key.digest
    assert "no-store" in made.headers["Cache-Control"]
    assert found[1] not in later
    assert alices_key.hint in later
    assert "End the old secret now" in later


def test_a_key_is_not_rotated_twice_at_once(as_alice: Client, alices_key: ApiKey) -> None:
    as_alice.post(url(alices_key, "rotate/"), {"overlap": "24"})
    first = ApiKey.objects.get().digest

    again = as_alice.post(url(alices_key, "rotate/"), {"overlap": "24"})

    assert again.status_code == 400
    assert "still works" in again.content.decode()
    assert ApiKey.objects.get().digest == first


def test_an_old_secret_is_ended(as_alice: Client, alices_key: ApiKey) -> None:
    rotate_api_key(alices_key)

    got = as_alice.get(url(alices_key, "end-rotation/"))
    as_alice.post(url(alices_key, "end-rotation/"))

    assert got.status_code == 405
    assert ApiKey.objects.get().previous_digest is None


@pytest.mark.parametrize("overlap", ["", "-1", "5", "soon"])
def test_an_overlap_that_is_not_offered_rotates_nothing(
    as_alice: Client, alices_key: ApiKey, overlap: str
) -> None:
    answer = as_alice.post(url(alices_key, "rotate/"), {"overlap": overlap})

    assert answer.status_code == 400
    assert ApiKey.objects.get().digest == alices_key.digest


def test_a_revoked_key_is_neither_changed_nor_rotated(as_alice: Client, alices_key: ApiKey) -> None:
    as_alice.post(url(alices_key, "revoke/"))

    changed = as_alice.post(url(alices_key), {"name": "New", "lifetime": "keep", **ANYWHERE})
    rotated = as_alice.post(url(alices_key, "rotate/"), {"overlap": "24"})

    key = ApiKey.objects.get()
    assert (changed.status_code, rotated.status_code) == (302, 400)
    assert (key.name, key.digest) == (alices_key.name, alices_key.digest)


@pytest.mark.parametrize("page", ["", "rotate/", "end-rotation/"])
def test_bob_neither_changes_nor_rotates_alices_key(
    as_bob: Client, alices_key: ApiKey, page: str
) -> None:
    answer = as_bob.post(url(alices_key, page), {"name": "Mine", "overlap": "0"})

    key = ApiKey.objects.get()
    assert answer.status_code == 404
    assert (key.name, key.digest) == (alices_key.name, alices_key.digest)


def test_nobody_has_more_keys_than_there_may_be(
    as_alice: Client, alices_key: ApiKey, settings: Any
) -> None:
    settings.MAX_API_KEYS = 2
    as_alice.post("/dashboard/keys/new/", {"name": "Second", **ANYWHERE})

    refused = as_alice.post("/dashboard/keys/new/", {"name": "Third", **ANYWHERE})
    as_alice.post(url(alices_key, "revoke/"))
    as_alice.post("/dashboard/keys/new/", {"name": "Fourth", **ANYWHERE})

    assert refused.status_code == 400
    assert "There are 2 keys already" in refused.content.decode()
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
