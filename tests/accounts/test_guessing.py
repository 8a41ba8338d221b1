"""Whoever guesses passwords is stopped, without locking out whose account it is."""

import re
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import User
from billing.models import Notice
from tests.accounts.sign_up import LINK, PASSWORD
from tests.billing.notices.conftest import Mailbox, mailbox

__all__ = ["mailbox"]

HERE, THERE = "203.0.113.9", "198.51.100.7"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
TOO_MANY = "Too many failed login attempts"


@pytest.fixture(autouse=True)
def no_limits(db: None) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def alice(alice: User) -> User:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    return alice


def log_in(client: Client, email: str, password: str = PASSWORD, *, at: str) -> Any:
    form = {"login": email, "password": password}
    return client.post("/accounts/login/", form, REMOTE_ADDR=at)


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def guess(email: str, times: int, *, at: str) -> str:
    """Return the last page."""
    for _ in range(times):
        page = log_in(Client(), email, "wrong", at=at)
    return str(page.content.decode())


def test_a_stranger_is_stopped_and_locks_nobody_out_elsewhere(alice: User) -> None:
    page = guess(alice.email, 6, at=THERE)

    stranger, owner = Client(), Client()
    log_in(stranger, alice.email, at=THERE)
    log_in(owner, alice.email, at=HERE)

    assert TOO_MANY in page
    assert not is_in(stranger)
    assert is_in(owner)


def test_a_known_browser_passes_from_the_strangers_own_network(alice: User) -> None:
    owner = Client()
    log_in(owner, alice.email, at=HERE)
    owner.post("/accounts/logout/")

    guess(alice.email, 6, at=THERE)
    log_in(owner, alice.email, at=THERE)

    assert is_in(owner)


def test_a_browser_known_to_one_account_is_not_to_another(alice: User, bob: User) -> None:
    guesser = Client()
    log_in(guesser, bob.email, at=THERE)
    guesser.post("/accounts/logout/")

    for _ in range(6):
        log_in(guesser, alice.email, "wrong", at=THERE)
    log_in(guesser, alice.email, at=THERE)

    assert not is_in(guesser)


def test_many_networks_together_are_stopped_and_the_owner_comes_in_by_mail(
    alice: User, mailbox: Mailbox
) -> None:
    for number in range(100):
        guess(alice.email, 1, at=f"198.51.{number}.1")
    owner = Client()
    log_in(owner, alice.email, at=HERE)
    assert not is_in(owner)

    owner.post("/accounts/password/reset/", {"email": alice.email}, REMOTE_ADDR=HERE)
    link = LINK.search(str(mailbox()[-1].body))
    assert link is not None
    form = owner.get(link[1], follow=True)
    owner.post(form.redirect_chain[-1][0], {"password1": "a new one 7", "password2": "a new one 7"})
    log_in(owner, alice.email, "a new one 7", at=HERE)

    assert is_in(owner)


def test_a_right_password_takes_its_count_back(alice: User) -> None:
    for _ in range(12):
        client = Client()
        log_in(client, alice.email, at=HERE)

        assert is_in(client)


def test_a_wrong_password_answers_alike_and_works_alike(alice: User) -> None:
    work, pages = [], []
    for email in (alice.email, "nobody@example.com"):
        with (
            mock.patch.object(
                MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode
            ) as hashes,
            CaptureQueriesContext(connection) as queries,
        ):
            answer = log_in(Client(), email, "wrong", at=HERE)
        work.append((hashes.call_count, [query["sql"].split(" ")[0] for query in queries]))
        pages.append(TOKEN.sub("", answer.content.decode().replace(email, "")))

    assert work[0] == work[1] == (1, ["SELECT"])
    assert pages[0] == pages[1]
    assert "The email address and/or password you specified are not correct." in pages[0]


def test_a_reset_answers_alike_and_works_alike(alice: User) -> None:
    work, pages = [], []
    for email in (alice.email, "nobody@example.com"):
        with CaptureQueriesContext(connection) as queries:
            answer = Client().post("/accounts/password/reset/", {"email": email}, follow=True)
        work.append([query["sql"].split(" ")[0] for query in queries])
        pages.append(TOKEN.sub("", answer.content.decode()))

    assert work[0] == work[1]
    assert pages[0] == pages[1]
    assert [notice.kind for notice in Notice.objects.order_by("pk")] == [
        "password_link",
        "no_account",
    ]


def test_the_address_of_somebody_without_an_account_is_not_kept(mailbox: Mailbox) -> None:
    Client().post("/accounts/password/reset/", {"email": "nobody@example.com"})

    assert [sent.to for sent in mailbox()] == [["nobody@example.com"]]
    assert not Notice.objects.exists()


def test_the_secret_of_a_reset_is_in_no_table(alice: User, mailbox: Mailbox) -> None:
    Client().post("/accounts/password/reset/", {"email": alice.email})
    link = LINK.search(str(mailbox()[-1].body))

    assert link is not None
    assert link[1].split("-")[-1].strip("/") not in str(Notice.objects.values())


def test_a_link_to_a_new_password_lasts_an_hour(
    alice: User, mailbox: Mailbox, settings: Settings
) -> None:
    assert settings.PASSWORD_RESET_TIMEOUT == 3_600
    Client().post("/accounts/password/reset/", {"email": alice.email})
    link = LINK.search(str(mailbox()[-1].body))
    assert link is not None

    settings.PASSWORD_RESET_TIMEOUT = -1

    assert "doesn't work any more" in Client().get(link[1], follow=True).content.decode()


@pytest.mark.parametrize("host", ["evil.example.com", "localhost"])
def test_a_link_leads_to_this_site_whatever_host_asked(
    alice: User, mailbox: Mailbox, settings: Settings, host: str
) -> None:
    settings.ALLOWED_HOSTS = ["*"]

    Client().post("/accounts/password/reset/", {"email": alice.email}, headers={"host": host})

    (sent,) = mailbox()
    assert f"{settings.SITE_URL}/accounts/password/reset/key/" in sent.body
    assert host not in str(sent.message()).replace(settings.SITE_URL, "")


def test_a_refusal_is_a_page_and_says_when_to_try_again(alice: User) -> None:
    for _ in range(4):
        answer = Client().post("/accounts/password/reset/", {"email": alice.email})

    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 60
    page = answer.content.decode()
    assert 'class="site-header"' in page
    assert "Please wait" in page


def test_signing_up_is_limited_by_network(as_charlie: Client) -> None:
    for number in range(11):
        answer = as_charlie.post(
            "/accounts/signup/", {"email": "taken", "password1": PASSWORD}, REMOTE_ADDR=THERE
        )
        assert answer.status_code == (429 if number == 10 else 200)

    assert int(answer["Retry-After"]) <= 60
