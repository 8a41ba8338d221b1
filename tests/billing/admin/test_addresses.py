"""A customer gets another address from two of the staff, and none of them gets an account by it."""

from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.core import mail
from django.test import Client

from accounts.audit import Change, read_said
from accounts.desk.roles import make_roles
from accounts.models import AuditLine, User
from billing.leaving.deletion import delete_account
from billing.models import Approval, Notice
from billing.notices.outbox import send_due_notices
from tests import desk
from tests.racing import race

NEW = "alice@new.example"
WHY = {"reason": "Showed her passport on a call"}


def hire(name: str, role: str) -> Client:
    make_roles()
    user = User.objects.create_user(f"{name}@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return desk.log_in(user)


@pytest.fixture
def fay(db: None) -> Client:
    return hire("fay", "Finance")


@pytest.fixture
def finn(db: None) -> Client:
    return hire("finn", "Finance")


def ask(browser: Client, buyer: desk.Buyer, email: str = NEW, **fields: Any) -> Any:
    answers = {**WHY, "email": email, "again": email, "once": str(uuid4()), **fields}
    return browser.post(desk.do_url("change-address", buyer.wallet), answers, follow=True)


def approve(browser: Client) -> Any:
    url = desk.do_url("approve", Approval.objects.get())
    return browser.post(url, {"reason": "I was in the call"}, follow=True)


def address_of(buyer: desk.Buyer) -> str:
    return User.objects.get(pk=buyer.user.pk).email


def test_it_takes_two(fay: Client, finn: Client, alice: desk.Buyer) -> None:
    ask(fay, alice)
    assert address_of(alice) == "alice@example.com"

    approve(fay)
    assert address_of(alice) == "alice@example.com"

    approve(finn)
    assert address_of(alice) == NEW
    assert EmailAddress.objects.get(user=alice.user).email == NEW


def test_a_superuser_does_it_alone(root: Client, alice: desk.Buyer) -> None:
    ask(root, alice)

    assert address_of(alice) == NEW
    line = AuditLine.objects.get(deed="Change the address")
    assert Change("e-mail address", "alice@example.com", NEW) in read_said(line).changes
    assert NEW not in str(line.said)


def test_both_addresses_are_mailed(root: Client, alice: desk.Buyer) -> None:
    ask(root, alice)
    send_due_notices()

    told = {message.to[0]: str(message.body) for message in mail.outbox}
    assert told.keys() == {"alice@example.com", NEW}
    assert "Wasn't this you?" in told["alice@example.com"]


def test_browsers_end_and_keys_and_factors_stay(root: Client, alice: desk.Buyer) -> None:
    browser = Client()
    browser.force_login(alice.user)
    UserSession.objects.create(
        user=alice.user, ip="192.0.2.1", session_key=browser.session.session_key, user_agent="x"
    )
    Authenticator.objects.create(user=alice.user, type=Authenticator.Type.TOTP, data={})

    ask(root, alice)

    assert browser.get("/dashboard/").status_code == 302
    assert Authenticator.objects.filter(user=alice.user).count() == 1
    alice.key.refresh_from_db()
    assert alice.key.revoked_at is None


def test_the_reset_that_comes_next_ends_no_key(root: Client, alice: desk.Buyer) -> None:
    alice.user.set_password("an old password 77")
    alice.user.save()
    ask(root, alice)
    Client().post("/accounts/password/reset/", {"email": NEW})
    send_due_notices()
    [link] = [
        word
        for message in mail.outbox
        for word in str(message.body).split()
        if "/reset/key/" in word
    ]

    browser = Client()
    form = browser.get(urlsplit(link).path, follow=True)
    chosen = "a new password 88"
    browser.post(form.redirect_chain[-1][0], {"password1": chosen, "password2": chosen})

    alice.key.refresh_from_db()
    assert User.objects.get(pk=alice.user.pk).check_password(chosen)
    assert alice.key.revoked_at is None


@pytest.mark.parametrize(
    ("email", "again"),
    [
        (NEW, "alice@nev.example"),
        ("no address", "no address"),
        (f"{'x' * 300}@example.com", f"{'x' * 300}@example.com"),
        ("bob@example.com", "bob@example.com"),
        ("BOB@example.com", "BOB@example.com"),
        ("alice@example.com", "alice@example.com"),
    ],
)
def test_another_persons_address_or_a_slip_changes_nothing(
    root: Client, alice: desk.Buyer, email: str, again: str
) -> None:
    desk.make_customer("bob@example.com")

    answer = ask(root, alice, email, again=again)

    assert answer.status_code == 200
    assert address_of(alice) == "alice@example.com"
    assert not Notice.objects.filter(kind="address_changed").exists()


@pytest.mark.parametrize("power", ["is_staff", "is_superuser"])
def test_no_address_of_staff_is_changed(power: str, root: Client, alice: desk.Buyer) -> None:
    User.objects.filter(pk=alice.user.pk).update(**{power: True})

    ask(root, alice)

    assert address_of(alice) == "alice@example.com"


@pytest.mark.parametrize("role", ["Support", "Operations", "Auditor"])
def test_other_roles_can_not_even_ask(role: str, alice: desk.Buyer) -> None:
    answer = ask(hire("sue", role), alice)

    assert answer.status_code == 403
    assert not Approval.objects.exists()


def test_erasing_the_account_erases_what_was_asked_for(
    fay: Client, alice: desk.Buyer, redis_wallets: object
) -> None:
    ask(fay, alice)

    delete_account(alice.user)

    approval = Approval.objects.get()
    assert (approval.answers, approval.reason) == ({}, "")


@pytest.mark.django_db(transaction=True)
def test_of_two_accounts_at_once_one_gets_the_address() -> None:
    buyers = [desk.make_customer(f"{name}@example.com") for name in ("alice", "bob")]
    roots = [desk.log_in(User.objects.create_superuser(f"root{n}@example.com")) for n in range(2)]

    answers = race(
        [partial(ask, browser, buyer) for browser, buyer in zip(roots, buyers, strict=True)],
        meet_at='UPDATE "accounts_user"',
    )

    assert [answer.status_code for answer in answers] == [200, 200]
    assert sorted(map(address_of, buyers)).count(NEW) == 1
