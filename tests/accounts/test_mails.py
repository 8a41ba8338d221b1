"""The mails of signing up and of a forgotten password."""

from typing import Any, cast

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from billing.wallet.sync_client import SyncWalletClient
from tests.accounts.sign_up import LINK, PASSWORD
from tests.billing.notices.conftest import Mailbox, mailbox

__all__ = ["mailbox"]


class AwayServer(EmailBackend):
    """A mail server that does not answer."""

    def send_messages(self, messages: Any) -> int:
        raise ConnectionRefusedError("nobody is there")


def sign_up(client: Client, email: str) -> Any:
    return client.post("/accounts/signup/", {"email": email, "password1": PASSWORD}, follow=True)


def last_mail() -> tuple[EmailMultiAlternatives, str]:
    sent = cast(EmailMultiAlternatives, mail.outbox[-1])
    return sent, str(sent.alternatives[0][0])


def test_the_verification_has_its_link_in_text_and_html(
    redis_wallets: SyncWalletClient, db: None
) -> None:
    sign_up(Client(), "dora@example.com")

    sent, html = last_mail()
    link = LINK.search(str(sent.body))
    assert link is not None
    assert link[0] in html
    assert sent.subject == "Verify your e-mail address"
    assert "dora@example.com" in html


@pytest.mark.parametrize(
    ("email", "subject"),
    [
        ("alice@example.com", "Reset your password"),
        ("nobody@example.com", "There is no account with this address"),
    ],
)
def test_a_reset_is_mailed_in_the_sites_clothes(
    alice: User, mailbox: Mailbox, email: str, subject: str
) -> None:
    Client().post("/accounts/password/reset/", {"email": email})
    mailbox()

    sent, html = last_mail()
    assert sent.subject == subject
    link = LINK.search(str(sent.body))
    assert link is not None
    assert link[0] in html


def test_no_holiday_reply_answers_it(redis_wallets: SyncWalletClient, db: None) -> None:
    sign_up(Client(), "dora@example.com")

    assert last_mail()[0].message()["Auto-Submitted"] == "auto-generated"


def test_a_mail_server_that_is_away_does_not_cost_the_account(
    redis_wallets: SyncWalletClient, db: None, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.AwayServer"

    page = sign_up(Client(), "dora@example.com").content.decode()

    assert "The mail could not be sent." in page
    assert User.objects.filter(email="dora@example.com").exists()
