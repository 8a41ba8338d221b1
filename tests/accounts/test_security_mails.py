"""Whatever changes who can get into an account is mailed, once, by the outbox."""

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from accounts.models import User
from tests.accounts.sign_up import LINK, PASSWORD
from tests.billing.notices.conftest import Mailbox, mailbox
from tests.user_agents import FIREFOX

__all__ = ["mailbox"]

NEW = "a whole new password"


@pytest.fixture
def as_alice(alice: User) -> Client:
    client = Client(headers={"User-Agent": FIREFOX})
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    return client


def change_password(client: Client) -> None:
    client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW},
    )


def reset_password(client: Client, mailbox: Mailbox, email: str) -> None:
    client.post("/accounts/password/reset/", {"email": email})
    link = LINK.search(str(mailbox()[-1].body))
    assert link is not None
    form = client.get(link[1], follow=True)
    client.post(form.redirect_chain[-1][0], {"password1": NEW, "password2": NEW})


def test_a_changed_password_is_mailed_once(alice: User, as_alice: Client, mailbox: Mailbox) -> None:
    change_password(as_alice)

    (sent,) = mailbox()
    assert (sent.subject, sent.to) == ("Your password was changed", [alice.email])
    assert "Firefox on Linux" in sent.body
    assert "127.0.0.1" in sent.body
    assert not any(password in str(sent.message()) for password in (PASSWORD, NEW))


def test_a_wrong_old_password_changes_and_mails_nothing(
    alice: User, as_alice: Client, mailbox: Mailbox
) -> None:
    as_alice.post(
        "/accounts/password/change/",
        {"oldpassword": "wrong", "password1": NEW, "password2": NEW},
    )

    assert mailbox() == []


def test_each_change_is_mailed(as_alice: Client, mailbox: Mailbox) -> None:
    change_password(as_alice)
    as_alice.post(
        "/accounts/password/change/",
        {"oldpassword": NEW, "password1": PASSWORD, "password2": PASSWORD},
    )

    assert [sent.subject for sent in mailbox()] == ["Your password was changed"] * 2


@pytest.mark.parametrize("is_verified", [True, False])
def test_a_reset_password_is_mailed_once(alice: User, mailbox: Mailbox, is_verified: bool) -> None:
    # Whoever has the link reads what is mailed to the address, verified or not.
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=is_verified)

    reset_password(Client(), mailbox, alice.email)

    assert [sent.subject for sent in mailbox()] == [
        "Reset your password",
        "Your password was reset",
    ]


def test_a_stranger_is_not_mailed_what_happens_under_an_address_that_was_never_confirmed(
    alice: User, as_alice: Client, mailbox: Mailbox
) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=False)

    change_password(as_alice)

    assert mailbox() == []
