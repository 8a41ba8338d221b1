"""A person has one address, which another one replaces once it is confirmed, and not before."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.models import StatusSubscription
from tests.accounts.sign_up import LINK, PASSWORD
from tests.billing.notices.conftest import Mailbox, mailbox
from tests.conftest import signed_in

__all__ = ["mailbox"]

PAGE = "/accounts/email/"
NEW = "new@example.com"


@pytest.fixture(autouse=True)
def no_limits(db: None) -> None:
    """Forget the mails of earlier tests: links are mailed once in three minutes."""
    cache.clear()


@pytest.fixture(params=[True, False], ids=["confirmed", "never confirmed"])
def as_alice(alice: User, request: pytest.FixtureRequest) -> Client:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=request.param)
    return signed_in(alice)


def ask(client: Client, email: str = NEW) -> str:
    """Ask for another address, and return the words of the page that comes."""
    page = client.post(PAGE, {"email": email, "action_add": ""}, follow=True).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def mailed_link(email: str = NEW) -> str:
    """Return the link that was mailed last to an address."""
    sent = [message for message in mail.outbox if message.to == [email]]
    link = LINK.search(str(sent[-1].body))
    assert link is not None
    return link[1]


def address_of(user: User) -> str:
    user.refresh_from_db()
    return user.email


def can_log_in(email: str) -> bool:
    client = Client()
    client.post("/accounts/login/", {"login": email, "password": PASSWORD})
    return "_auth_user_id" in client.session


def test_nothing_changes_by_asking(alice: User, as_alice: Client) -> None:
    page = ask(as_alice)

    assert "It is to become new@example.com" in page
    assert address_of(alice) == "alice@example.com"
    assert can_log_in("alice@example.com")


def test_the_link_replaces_the_address(alice: User, as_alice: Client) -> None:
    ask(as_alice)

    as_alice.post(mailed_link())

    (only,) = EmailAddress.objects.filter(user=alice)
    assert (only.email, only.verified, only.primary) == (NEW, True, True)
    assert address_of(alice) == NEW
    assert can_log_in(NEW)
    assert not can_log_in("alice@example.com")


def test_mails_of_incidents_follow_who_had_confirmed_the_old_address(
    alice: User, as_alice: Client
) -> None:
    was_confirmed = EmailAddress.objects.get(user=alice).verified
    confirmed_at = timezone.now()
    StatusSubscription.objects.create(
        address=alice.email, language="en", confirmed_at=confirmed_at, model_names=["gpt-4"]
    )
    ask(as_alice)
    asked = StatusSubscription.objects.get().address

    as_alice.post(mailed_link())

    row = StatusSubscription.objects.get()
    assert asked == "alice@example.com"
    assert row.address == (NEW if was_confirmed else "alice@example.com")
    assert (row.confirmed_at, row.model_names) == (confirmed_at, ["gpt-4"])


def test_the_last_one_asked_for_counts(alice: User, as_alice: Client) -> None:
    ask(as_alice, "first@example.com")
    first = mailed_link("first@example.com")
    ask(as_alice)

    as_alice.post(first)
    assert address_of(alice) == "alice@example.com"

    as_alice.post(mailed_link())
    assert address_of(alice) == NEW


def test_a_change_is_cancelled(alice: User, as_alice: Client) -> None:
    ask(as_alice)
    link = mailed_link()

    as_alice.post(PAGE, {"email": NEW, "action_remove": ""})
    as_alice.post(link)

    assert address_of(alice) == "alice@example.com"
    assert [row.email for row in EmailAddress.objects.all()] == ["alice@example.com"]


def test_a_link_that_is_not_sent_is_not_promised(alice: User, as_alice: Client) -> None:
    ask(as_alice)
    as_alice.post(PAGE, {"email": NEW, "action_remove": ""})

    page = ask(as_alice)

    assert "Send another one in three minutes" in page
    assert [sent.to for sent in mail.outbox] == [[NEW]]


@pytest.mark.parametrize("action", ["action_primary", "action_remove"])
@pytest.mark.parametrize("email", ["alice@example.com", NEW])
def test_nothing_but_the_link_makes_it_the_address(
    alice: User, as_alice: Client, action: str, email: str
) -> None:
    ask(as_alice)

    as_alice.post(PAGE, {"email": email, action: ""})

    assert address_of(alice) == "alice@example.com"
    assert EmailAddress.objects.filter(user=alice, email=alice.email).exists()


def test_an_address_that_waits_resets_no_password(
    alice: User, as_alice: Client, mailbox: Mailbox
) -> None:
    ask(as_alice)
    mail.outbox.clear()

    Client().post("/accounts/password/reset/", {"email": NEW})

    assert [sent.subject for sent in mailbox() if sent.to == [NEW]] == [
        "There is no account with this address"
    ]


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_somebody_elses_address_stays_theirs(
    alice: User, bob: User, as_alice: Client, is_confirmed: bool
) -> None:
    EmailAddress.objects.create(user=bob, email=bob.email, primary=True, verified=is_confirmed)
    ask(as_alice, bob.email)

    # Bob reads his mail, and confirms what he did not ask for.
    answer = as_alice.post(mailed_link(bob.email))

    assert answer.status_code in (200, 302)
    assert (address_of(alice), address_of(bob)) == ("alice@example.com", "bob@example.com")
    assert EmailAddress.objects.get(user=alice, email=alice.email)


# Well formed by every rule but that of its length, of 259 characters.
TOO_LONG = f"{'x' * 64}@{'y' * 63}.{'z' * 63}.{'w' * 62}.com"


@pytest.mark.parametrize("email", ["", "nothing", TOO_LONG, "alice@example.com"])
def test_an_address_that_cant_be_is_refused(alice: User, as_alice: Client, email: str) -> None:
    answer = as_alice.post(PAGE, {"email": email, "action_add": ""})

    assert answer.status_code == 200
    assert answer.context["form"].errors["email"]
    assert EmailAddress.objects.count() == 1


def test_both_addresses_are_told_of_a_change(alice: User, mailbox: Mailbox) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    client = signed_in(alice)

    ask(client)
    asked = [(sent.to[0], sent.subject) for sent in mailbox()]
    client.post(PAGE, {"email": NEW, "action_send": ""})
    client.post(mailed_link())
    changed = [(sent.to[0], sent.subject) for sent in mailbox()[len(asked) :]]

    assert asked == [
        (NEW, "Verify your e-mail address"),
        ("alice@example.com", "Your e-mail address is to be changed"),
    ]
    assert changed == [
        ("alice@example.com", "Your e-mail address was changed"),
        (NEW, "Your e-mail address was changed"),
    ]


def test_confirming_the_present_address_is_no_change(alice: User, mailbox: Mailbox) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=False)
    client = signed_in(alice)
    client.post(PAGE, {"email": alice.email, "action_send": ""})
    ask(client)

    client.post(mailed_link(alice.email))

    assert EmailAddress.objects.get(user=alice).verified
    assert {sent.subject for sent in mailbox()} == {"Verify your e-mail address"}


def test_a_change_that_was_cancelled_is_told_no_further(alice: User, mailbox: Mailbox) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    client = signed_in(alice)
    ask(client)
    told = len(mailbox())

    client.post(PAGE, {"email": NEW, "action_remove": ""})

    assert len(mailbox()) == told
