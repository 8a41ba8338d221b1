"""allauth's pages in the site's clothes, and the flows through them."""

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from accounts.models import User
from billing.wallet.sync_client import SyncWalletClient
from tests.accounts.sign_up import LINK, PASSWORD
from tests.billing.notices.conftest import Mailbox, mailbox
from tests.conftest import signed_in

__all__ = ["mailbox"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/accounts/login/", "Log in"),
        ("/accounts/signup/", "Create your account"),
        ("/accounts/password/reset/", "Reset your password"),
        ("/accounts/password/reset/done/", "Check your inbox"),
        ("/accounts/confirm-email/", "Check your inbox"),
        ("/accounts/inactive/", "This account is closed"),
    ],
)
def test_a_visitors_page_wears_the_sites_clothes(as_charlie: Client, path: str, words: str) -> None:
    page = as_charlie.get(path).content.decode()

    assert words in page
    assert 'class="site-header"' in page
    assert page.count("<h1") == 1


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/accounts/email/", "Email address"),
        ("/accounts/password/change/", "Change your password"),
        ("/accounts/logout/", "Log out?"),
    ],
)
def test_a_customers_page_wears_the_sites_clothes(alice: User, path: str, words: str) -> None:
    page = signed_in(alice).get(path).content.decode()

    assert words in page
    assert 'class="site-header"' in page


@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"]
)
def test_a_field_does_not_repeat_its_label_inside(as_charlie: Client, path: str) -> None:
    page = as_charlie.get(path).content.decode()

    assert "<label" in page
    assert "placeholder=" not in page


def test_signing_up_leads_back_to_the_pack(
    as_charlie: Client, redis_wallets: SyncWalletClient
) -> None:
    form = as_charlie.get("/accounts/signup/?next=/billing/checkout/starter/").content.decode()

    answer = as_charlie.post(
        "/accounts/signup/",
        {
            "email": "Charlie@Example.com",
            "password1": PASSWORD,
            "next": "/billing/checkout/starter/",
        },
    )

    assert 'name="next" value="/billing/checkout/starter/"' in form
    assert answer.headers["Location"] == "/billing/checkout/starter/"
    assert User.objects.get().email == "charlie@example.com"


def test_the_way_from_sign_up_to_log_in_keeps_the_pack(as_charlie: Client) -> None:
    page = as_charlie.get("/accounts/signup/?next=/billing/checkout/starter/").content.decode()

    assert 'href="/accounts/login/?next=%2Fbilling%2Fcheckout%2Fstarter%2F"' in page


def test_it_never_leads_to_another_site(alice: User) -> None:
    answer = Client().post(
        "/accounts/login/",
        {"login": alice.email, "password": PASSWORD, "next": "https://evil.example.com/"},
    )

    assert answer.headers["Location"] == "/dashboard/"


@pytest.mark.parametrize(
    "values",
    [
        {"email": "", "password1": PASSWORD},
        {"email": "not-an-address", "password1": PASSWORD},
        {"email": "charlie@example.com", "password1": "123"},
        {"email": "charlie@example.com", "password1": ""},
    ],
)
def test_it_refuses_a_sign_up_that_makes_no_sense(
    as_charlie: Client, values: dict[str, str]
) -> None:
    answer = as_charlie.post("/accounts/signup/", values)

    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not User.objects.exists()


def test_a_forgotten_password_is_replaced_by_mail(alice: User, mailbox: Mailbox) -> None:
    client = Client()
    client.post("/accounts/password/reset/", {"email": alice.email})
    link = LINK.search(str(mailbox()[0].body))
    assert link is not None

    form = client.get(link[1], follow=True)
    client.post(
        form.redirect_chain[-1][0],
        {"password1": "a whole new password", "password2": "a whole new password"},
    )

    alice.refresh_from_db()
    assert alice.check_password("a whole new password")


def test_an_address_is_verified_by_mail(
    as_charlie: Client, redis_wallets: SyncWalletClient
) -> None:
    as_charlie.post("/accounts/signup/", {"email": "charlie@example.com", "password1": PASSWORD})
    link = LINK.search(str(mail.outbox[0].body))
    assert link is not None

    page = as_charlie.get(link[1]).content.decode()
    as_charlie.post(link[1])

    assert "Confirm" in page
    assert EmailAddress.objects.get(email="charlie@example.com").verified


def test_logging_out_takes_a_post(alice: User) -> None:
    client = Client()
    client.force_login(alice)

    client.get("/accounts/logout/")
    still = client.get("/dashboard/")
    client.post("/accounts/logout/")
    after = client.get("/dashboard/")

    assert (still.status_code, after.status_code) == (200, 302)
