"""API keys in the dashboard."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey, TeamEvent, User
from accounts.secrets import digest_of
from billing.keys.api_keys import pause_api_key, resume_api_key, revoke_api_key
from tests.billing.views.conftest import ANYWHERE, HTMX

SECRET = re.compile(r'id="new-secret">(tp_live_[0-9A-Za-z]{38})<')


def test_it_shows_a_new_keys_secret_once_with_the_curl_line_filled_in(as_alice: Client) -> None:
    made = as_alice.post("/dashboard/keys/new/", {"name": "Server", **ANYWHERE}).content.decode()
    later = as_alice.get("/dashboard/keys/").content.decode()

    found = SECRET.search(made)
    assert found is not None
    secret = found[1]
    assert ApiKey.objects.get().digest == digest_of(secret)
    assert f"Bearer {secret}" in made
    assert secret not in later
    assert ApiKey.objects.get().hint in later


def test_it_gives_htmx_the_list_alone(as_alice: Client) -> None:
    answer = as_alice.post("/dashboard/keys/new/", {"name": "Server", **ANYWHERE}, headers=HTMX)

    assert "<html" not in answer.content.decode()
    assert SECRET.search(answer.content.decode())
    assert "no-store" in answer.headers["Cache-Control"]


def test_it_lets_a_key_expire(as_alice: Client) -> None:
    as_alice.post("/dashboard/keys/new/", {"name": "Server", "lifetime": "30", **ANYWHERE})

    expires_at = ApiKey.objects.get().expires_at
    assert expires_at is not None
    assert abs(expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 61},
        {"name": "a\x00b"},
        {"name": "Server", "lifetime": "-1"},
        {"name": "Server", "lifetime": "soon"},
    ],
)
def test_it_refuses_a_key_that_makes_no_sense(as_alice: Client, values: dict[str, str]) -> None:
    answer = as_alice.post("/dashboard/keys/new/", {**ANYWHERE, **values})

    assert answer.status_code == 400
    assert "errorlist" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_it_asks_before_it_revokes(as_alice: Client, alices_key: ApiKey) -> None:
    page = as_alice.get(f"/dashboard/keys/{alices_key.pk}/revoke/").content.decode()

    alices_key.refresh_from_db()
    assert "Revoke now" in page
    assert alices_key.revoked_at is None


def test_it_revokes_at_once(as_alice: Client, alices_key: ApiKey) -> None:
    answer = as_alice.post(f"/dashboard/keys/{alices_key.pk}/revoke/")

    alices_key.refresh_from_db()
    assert answer.status_code == 302
    assert alices_key.revoked_at is not None


def test_it_gives_htmx_the_revoked_row(as_alice: Client, alices_key: ApiKey) -> None:
    row = as_alice.post(f"/dashboard/keys/{alices_key.pk}/revoke/", headers=HTMX).content.decode()

    assert row.strip().startswith("<tr")
    assert "Revoked" in row


def test_it_keeps_the_first_instant_of_a_key_revoked_twice(
    as_alice: Client, alices_key: ApiKey
) -> None:
    as_alice.post(f"/dashboard/keys/{alices_key.pk}/revoke/")
    alices_key.refresh_from_db()
    first = alices_key.revoked_at

    as_alice.post(f"/dashboard/keys/{alices_key.pk}/revoke/")

    alices_key.refresh_from_db()
    assert alices_key.revoked_at == first


def test_bob_neither_sees_nor_revokes_alices_key(as_bob: Client, alices_key: ApiKey) -> None:
    url = f"/dashboard/keys/{alices_key.pk}/revoke/"

    listed = as_bob.get("/dashboard/keys/").content.decode()
    seen, revoked = as_bob.get(url), as_bob.post(url)

    alices_key.refresh_from_db()
    assert alices_key.hint not in listed
    assert (seen.status_code, revoked.status_code) == (404, 404)
    assert alices_key.revoked_at is None


def test_charlie_creates_nothing(as_charlie: Client) -> None:
    answer = as_charlie.post("/dashboard/keys/new/", {"name": "Server", **ANYWHERE})

    assert answer.status_code == 302
    assert not ApiKey.objects.exists()


def test_it_creates_nothing_without_a_csrf_token(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    answer = client.post("/dashboard/keys/new/", {"name": "Server", **ANYWHERE})

    assert answer.status_code == 403
    assert "This form is out of date" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_a_name_is_text_and_never_markup(as_alice: Client) -> None:
    as_alice.post("/dashboard/keys/new/", {"name": "<script>alert(1)</script>", **ANYWHERE})

    page = as_alice.get("/dashboard/keys/").content.decode()

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_link_asks_before_it_pauses_a_key(as_alice: Client, alices_key: ApiKey) -> None:
    page = f"/dashboard/keys/{alices_key.pk}/pause/"

    asked = as_alice.get(page)
    alices_key.refresh_from_db()
    before = alices_key.paused_at
    as_alice.post(page)
    alices_key.refresh_from_db()

    assert "Pause now" in asked.content.decode()
    assert before is None
    assert alices_key.paused_at is not None
    assert "Paused" in as_alice.get("/dashboard/keys/").content.decode()


def test_a_paused_key_is_resumed_on_its_page(as_alice: Client, alices_key: ApiKey) -> None:
    pause_api_key(alices_key)

    as_alice.post(f"/dashboard/keys/{alices_key.pk}/resume/")

    alices_key.refresh_from_db()
    assert alices_key.paused_at is None
    assert list(TeamEvent.objects.order_by("pk").values_list("action", flat=True))[-2:] == [
        "key_paused",
        "key_resumed",
    ]


def test_a_revoked_key_is_neither_paused_nor_resumed(alices_key: ApiKey) -> None:
    revoke_api_key(alices_key)

    assert not pause_api_key(alices_key)
    assert not resume_api_key(alices_key)
