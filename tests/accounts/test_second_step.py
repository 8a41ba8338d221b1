"""The second step of logging in, and where one is logged in."""

import time
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.accounts.sign_up import PASSWORD
from tests.billing.notices.conftest import Mailbox, mailbox
from tests.conftest import signed_in
from tests.desk import find_user
from tokenproxy_site.staff_sessions import SINCE

__all__ = ["mailbox"]


@pytest.fixture(autouse=True)
def no_limits(db: None) -> None:
    cache.clear()


@pytest.fixture
def alice(alice: User) -> User:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    return alice


@pytest.fixture
def frank(alice: User) -> User:
    """A member of staff."""
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    return find_user(alice.email)


def code_of(secret: str) -> str:
    # Of the present step, which is taken for a while after it is over.
    _, counter, _ = yield_hotp_counters_from_time()
    return str(format_hotp_value(hotp_value(secret, counter)))


def set_up_app(client: Client) -> str:
    """Set up an authenticator app, and return its secret."""
    page = client.get("/accounts/2fa/totp/activate/")
    secret = str(page.context["form"].secret)
    client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
    # A code is taken once.
    cache.clear()
    return secret


def log_in(user: User, **headers: Any) -> Client:
    client = Client(**headers)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_a_password_alone_does_not_log_in(alice: User) -> None:
    secret = set_up_app(signed_in(alice))

    client = log_in(alice)
    before = is_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})

    assert not before
    assert is_in(client)


def test_a_recovery_code_logs_in_once(alice: User) -> None:
    owner = signed_in(alice)
    set_up_app(owner)
    code = owner.get("/accounts/2fa/recovery-codes/").context["unused_codes"][0]
    first, second = log_in(alice), log_in(alice)

    for client in (first, second):
        client.post("/accounts/2fa/authenticate/", {"code": code})

    assert is_in(first)
    assert not is_in(second)


def test_guessing_the_second_step_is_stopped(alice: User) -> None:
    secret = set_up_app(signed_in(alice))
    client = log_in(alice)

    for _ in range(6):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})

    assert not is_in(client)


def test_the_secret_is_kept_encrypted(alice: User) -> None:
    secret = set_up_app(signed_in(alice))

    assert secret not in str(list(Authenticator.objects.values_list("data", flat=True)))


@pytest.mark.django_db(transaction=True)
def test_setting_it_up_signs_others_out_and_is_mailed(alice: User, mailbox: Mailbox) -> None:
    other, owner = log_in(alice), log_in(alice)

    set_up_app(owner)

    assert is_in(owner)
    assert other.get("/dashboard/").status_code == 302
    assert mailbox()[0].subject == "The second step of logging in was changed"
    assert "authenticator app" in str(mailbox()[0].body)


def test_who_has_one_may_ask_for_another_address(alice: User) -> None:
    owner = signed_in(alice)
    set_up_app(owner)

    owner.post("/accounts/email/", {"email": "new@example.com", "action_add": ""})

    assert EmailAddress.objects.filter(email="new@example.com").exists()


def test_switching_it_off_asks_for_the_password_again(alice: User) -> None:
    owner = signed_in(alice)
    set_up_app(owner)
    session = owner.session
    session["signed_in_at"] = 0
    session["account_authentication_methods"] = []
    session.save()

    answer = owner.post("/accounts/2fa/totp/deactivate/")

    assert "reauthenticate" in answer.headers["Location"]
    assert Authenticator.objects.filter(type="totp").exists()


def test_staff_need_one_where_it_is_required(frank: User, settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True
    desk = signed_in(frank)

    refused = desk.get("/admin/", follow=True)
    page = desk.get("/admin/accounts/user/")
    set_up_app(desk)

    assert refused.redirect_chain[-1][0] == "/accounts/2fa/"
    assert "Staff set up a second step" in refused.content.decode()
    assert page.status_code == 302
    assert desk.get("/admin/").status_code == 200


def test_staff_without_one_get_in_where_it_is_not_required(frank: User) -> None:
    assert signed_in(frank).get("/admin/").status_code == 200


def test_the_desks_own_log_in_and_password_page_lead_to_the_sites(frank: User) -> None:
    visitor = Client().post("/admin/login/", {"username": frank.email, "password": PASSWORD})
    password = signed_in(frank).post("/admin/password_change/", {"old_password": PASSWORD})

    assert visitor.headers["Location"].startswith("/accounts/login/")
    assert password.headers["Location"] == "/accounts/password/change/"


def test_a_session_of_staff_ends_after_hours_and_a_customers_does_not(
    frank: User, bob: User
) -> None:
    browsers = [log_in(frank), log_in(bob)]
    for client in browsers:
        client.get("/dashboard/")
        session = client.session
        session[SINCE] = time.time() - 12 * 3_600 - 1
        session.save()

    answers = [client.get("/dashboard/").status_code for client in browsers]

    assert answers == [302, 200]


def test_staff_alone_remove_a_factor_that_was_lost_and_see_no_secret(
    frank: User, bob: User
) -> None:
    lost = Authenticator.objects.create(user=bob, type="totp", data={"secret": "hidden words"})
    desk = signed_in(frank)
    url = f"/admin/mfa/authenticator/{lost.pk}/"

    page = desk.get(f"{url}change/").content.decode()
    desk.post(f"{url}delete/", {"post": "yes"})

    assert "hidden words" not in page
    assert not Authenticator.objects.exists()


def test_sessions_are_listed_and_ended_one_by_one(alice: User, bob: User) -> None:
    here, there, theirs = log_in(alice), log_in(alice), log_in(bob)
    page = here.get("/accounts/sessions/").content.decode()
    number = {s.session_key: s.pk for s in UserSession.objects.all()}

    here.post("/accounts/sessions/", {"session": number[theirs.session.session_key]})
    here.post("/accounts/sessions/", {"session": "nonsense"})
    still = is_in(there)
    here.post("/accounts/sessions/", {"session": number[there.session.session_key]})

    assert page.count("Log it out") == 1
    assert still
    assert [is_in(client) for client in (here, there, theirs)] == [True, False, True]


def test_all_others_are_logged_out_at_once(alice: User) -> None:
    here, there = log_in(alice), log_in(alice)

    here.post("/accounts/sessions/", {})

    assert [is_in(client) for client in (here, there)] == [True, False]


def test_a_session_that_was_planted_is_not_the_one_that_is_logged_in(alice: User) -> None:
    client = Client()
    client.get("/accounts/signup/?email=a@example.com")
    session = client.session
    session["planted"] = True
    session.save()
    planted = session.session_key
    client.cookies["sessionid"] = planted or ""

    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})

    assert is_in(client)
    assert client.session.session_key != planted
