"""Before something sensitive the password is asked for again, unless it was given just now."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey, User
from accounts.reauthentication import SIGNED_IN_AT
from accounts.teams.members import own_team
from billing.models import AutoTopUp
from billing.wallet.sync_client import SyncWalletClient
from tests.accounts.sign_up import PASSWORD
from tests.billing.views.conftest import ANYWHERE, HTMX
from tests.conftest import signed_in

ASK = "/accounts/reauthenticate/"
NEW_KEY = {"name": "Server <1>", **ANYWHERE}
CREATE = "/dashboard/keys/new/"


@pytest.fixture(autouse=True)
def no_limits(db: None) -> None:
    cache.clear()


@pytest.fixture
def as_alice(alice: User) -> Client:
    """Alice, who signed in eleven minutes ago."""
    client = signed_in(alice)
    grow_stale(client)
    return client


def grow_stale(client: Client) -> None:
    session = client.session
    session[SIGNED_IN_AT] = time.time() - 660
    session.save()


def answer(client: Client, asked: Any, password: str = PASSWORD) -> Any:
    """Enter the password on the page that an answer led to."""
    page = client.get(asked["Location"])
    assert page.status_code == 200
    return client.post(ASK, {"password": password, "next": page.context["redirect_field_value"]})


def key_of(user: User) -> ApiKey:
    return ApiKey.objects.create(
        team=own_team(user), created_by=user, name="Old", digest="a" * 64, hint="tp_live_Ab…xy"
    )


def waiting_of(user: User) -> EmailAddress:
    return EmailAddress.objects.create(user=user, email="new@example.com")


def kept() -> list[list[dict[str, Any]]]:
    """Return what a deed could change; whoever opens the page of addresses has a row of one."""
    known = EmailAddress.objects.exclude(email="alice@example.com")
    return [list(ApiKey.objects.values()), list(known.values("email"))]


Path = Callable[[User], str]
SENSITIVE: dict[str, tuple[str, Path, dict[str, str]]] = {
    "make a key": ("post", lambda _: CREATE, NEW_KEY),
    "edit a key": ("post", lambda u: f"/dashboard/keys/{key_of(u).pk}/", NEW_KEY),
    "open the rotation": ("get", lambda u: f"/dashboard/keys/{key_of(u).pk}/rotate/", {}),
    "rotate a key": ("post", lambda u: f"/dashboard/keys/{key_of(u).pk}/rotate/", {"overlap": "0"}),
    "agree to top-up": ("post", lambda _: reverse("dashboard-top-up"), {"offer": "x"}),
    "save a card": ("post", lambda _: reverse("dashboard-top-up-card"), {}),
    "open the address": ("get", lambda _: "/accounts/email/", {}),
    "change the address": (
        "post",
        lambda _: "/accounts/email/",
        {"email": "new@example.com", "action_add": ""},
    ),
    "cancel a change": (
        "post",
        lambda user: waiting_of(user) and "/accounts/email/",
        {"email": "new@example.com", "action_remove": ""},
    ),
}


@pytest.mark.parametrize("deed", SENSITIVE)
def test_it_asks_first_and_does_nothing(alice: User, as_alice: Client, deed: str) -> None:
    method, path, data = SENSITIVE[deed]
    url = path(alice)
    before = kept()

    asked = getattr(as_alice, method)(url, data)

    assert asked.status_code == 302
    assert asked["Location"].startswith(f"{ASK}?next=")
    assert kept() == before
    assert not AutoTopUp.objects.exclude(consent=None).exists()


@pytest.mark.parametrize("deed", SENSITIVE)
def test_it_does_not_ask_who_signed_in_just_now(alice: User, deed: str) -> None:
    method, path, data = SENSITIVE[deed]
    client = signed_in(alice)

    done = getattr(client, method)(path(alice), data)

    assert ASK not in done.get("Location", "")


def test_what_was_typed_is_done_once_the_password_is_right(alice: User, as_alice: Client) -> None:
    asked = as_alice.post(CREATE, NEW_KEY)
    page = as_alice.get(asked["Location"]).content.decode()

    done = answer(as_alice, asked)

    assert "What you sent is kept" in page
    assert ApiKey.objects.get().name == "Server <1>"
    assert "tp_live_" in done.content.decode()
    assert "<html" in done.content.decode()
    # The menu shows where one is, not who asked.
    assert done.wsgi_request.resolver_match.url_name == "dashboard-key-create"


def test_a_wrong_password_does_nothing_and_keeps_what_was_typed(
    alice: User, as_alice: Client
) -> None:
    asked = as_alice.post(CREATE, NEW_KEY)

    wrong = answer(as_alice, asked, "wrong")
    assert "incorrect" in wrong.content.decode().lower()
    assert not ApiKey.objects.exists()

    answer(as_alice, asked)
    assert ApiKey.objects.get().name == "Server <1>"


def test_it_is_done_once(alice: User, as_alice: Client) -> None:
    asked = as_alice.post(CREATE, NEW_KEY)

    answer(as_alice, asked)
    grow_stale(as_alice)
    again = as_alice.post(ASK, {"password": PASSWORD, "next": CREATE})

    assert again["Location"] == CREATE
    assert ApiKey.objects.count() == 1


def test_a_part_of_a_page_asks_with_a_whole_one(alice: User, as_alice: Client) -> None:
    asked = as_alice.post(CREATE, NEW_KEY, headers=HTMX)

    assert (asked.status_code, asked.content) == (200, b"")
    led_to = asked["HX-Redirect"]
    done = answer(as_alice, {"Location": led_to})
    assert "<html" in done.content.decode()
    assert ApiKey.objects.get().name == "Server <1>"


def test_a_page_is_come_back_to(alice: User, as_alice: Client) -> None:
    url = f"/dashboard/keys/{key_of(alice).pk}/rotate/"

    back = answer(as_alice, as_alice.get(url))

    assert back["Location"] == url
    assert as_alice.get(url).status_code == 200


def test_what_was_given_up_is_not_done_later(alice: User, as_alice: Client) -> None:
    key = key_of(alice)
    url = f"/dashboard/keys/{key.pk}/rotate/"
    as_alice.post(url, {"overlap": "0"})

    # Later, somebody only opens the page.
    back = answer(as_alice, as_alice.get(url))

    assert back["Location"] == url
    key.refresh_from_db()
    assert key.digest == "a" * 64


def test_the_answer_counts_for_a_while(alice: User, as_alice: Client) -> None:
    answer(as_alice, as_alice.post(CREATE, NEW_KEY))

    as_alice.post(CREATE, NEW_KEY)

    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize("how", ["sign-up", "log-in"])
def test_a_newcomer_is_not_asked(alice: User, redis_wallets: SyncWalletClient, how: str) -> None:
    client = Client()
    if how == "sign-up":
        client.post("/accounts/signup/", {"email": "dora@example.com", "password1": PASSWORD})
    else:
        client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})

    made = client.post(CREATE, NEW_KEY)

    assert made.status_code == 200
    assert ApiKey.objects.get().created_by.email in ("dora@example.com", "alice@example.com")


def test_logging_out_forgets_it(alice: User) -> None:
    client = signed_in(alice)
    client.post("/accounts/logout/")

    client.force_login(alice)

    assert client.post(CREATE, NEW_KEY)["Location"].startswith(ASK)


@pytest.mark.parametrize("end", ["revoke", "end-rotation"])
def test_ending_a_key_never_waits_for_a_password(alice: User, as_alice: Client, end: str) -> None:
    # Whoever finds a key in a stranger's hands is in a hurry, and nothing is gained by it.
    key = key_of(alice)

    done = as_alice.post(f"/dashboard/keys/{key.pk}/{end}/")

    assert ASK not in done.get("Location", "")


def test_a_password_is_changed_with_the_old_one(alice: User, as_alice: Client) -> None:
    new = "a whole new password"
    wrong = {"oldpassword": "wrong", "password1": new, "password2": new}

    assert as_alice.post("/accounts/password/change/", wrong).status_code == 200

    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
