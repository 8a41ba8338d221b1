"""Whoever signs up with somebody else's address can't keep the account from its reader."""

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core import mail
from django.core.cache import cache
from django.test import Client

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from billing.exceptions import SignedOut
from billing.keys.api_keys import issue_api_key
from billing.ledger.wallets import wallet_of
from billing.models import AutoTopUp, LedgerEntry, StripeCustomer
from billing.wallet.sync_client import SyncWalletClient
from tests.accounts.sign_up import LINK, PASSWORD
from tests.billing.notices.conftest import Mailbox, mailbox
from tests.conftest import person, signed_in
from tests.racing import race

__all__ = ["mailbox"]

VICTIM = "victim@example.com"
NEW = "what the reader chose"


@pytest.fixture(autouse=True)
def no_limits(db: None) -> None:
    cache.clear()


@pytest.fixture
def stranger(redis_wallets: SyncWalletClient, db: None) -> Client:
    """The browser of somebody who signed up with an address of another person."""
    client = Client()
    client.post("/accounts/signup/", {"email": VICTIM, "password1": PASSWORD})
    return client


def victims_account() -> User:
    return User.objects.get(email=VICTIM)


def mailed_link(email: str, part: str) -> str:
    """Return the link that was mailed last to an address."""
    bodies = [str(sent.body) for sent in mail.outbox if sent.to == [email]]
    links = [match[1] for body in bodies for match in LINK.finditer(body)]
    return next(link for link in reversed(links) if part in link)


def ask_for_reset(mailbox: Mailbox, email: str = VICTIM) -> str:
    Client().post("/accounts/password/reset/", {"email": email})
    mailbox()
    return mailed_link(email, "/reset/key/")


def choose_password(link: str) -> tuple[str, str]:
    """Set the new password, and return the words of the page before and after."""
    client = Client()
    form = client.get(link, follow=True)
    after = client.post(
        form.redirect_chain[-1][0], {"password1": NEW, "password2": NEW}, follow=True
    )
    return words(form.content), words(after.content)


def words(page: bytes) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.decode()).split())


def can_log_in(email: str, password: str) -> bool:
    cache.clear()
    client = Client()
    client.post("/accounts/login/", {"login": email, "password": password})
    return "_auth_user_id" in client.session


def is_signed_in(client: Client) -> bool:
    return client.get("/dashboard/").status_code == 200


def test_a_reset_ends_all_that_a_stranger_made_and_says_so(
    stranger: Client, mailbox: Mailbox
) -> None:
    user = victims_account()
    issue_api_key(own_seat(user), name="Theirs")
    EmailAddress.objects.create(user=user, email="stranger@example.com", verified=True)
    Authenticator.objects.create(user=user, type="totp", data={"secret": "x"})
    key = ApiKey.objects.get()

    before, after = choose_password(ask_for_reset(mailbox))

    key.refresh_from_db()
    assert key.revoked_at
    assert [row.email for row in EmailAddress.objects.filter(verified=True)] == [VICTIM]
    assert EmailAddress.objects.count() == 1
    assert not Authenticator.objects.exists()
    assert not is_signed_in(stranger)
    assert can_log_in(VICTIM, NEW)
    assert not can_log_in("stranger@example.com", PASSWORD)
    assert not can_log_in(VICTIM, PASSWORD)
    told = str(mailbox()[-1].body)
    assert mailbox()[-1].to == [VICTIM]
    for place in (before, told):
        assert key.hint in place
        assert "stranger@example.com" in place
    assert "1 API key, 1 e-mail address, 1 sign-in and 1 second factor" in after


def test_a_reset_leaves_no_card_or_customer_of_a_strangers(
    stranger: Client, mailbox: Mailbox
) -> None:
    wallet = wallet_of(victims_account())
    card = {"stripe_customer_id": "cus_1", "stripe_payment_method_id": "pm_1", "card_label": "x"}
    AutoTopUp.objects.create(wallet=wallet, state=AutoTopUp.State.WAITING, **card)
    StripeCustomer.objects.create(wallet=wallet, stripe_customer_id="cus_1", email=VICTIM)

    choose_password(ask_for_reset(mailbox))

    top_up = AutoTopUp.objects.get()
    assert top_up.state == AutoTopUp.State.OFF
    assert {name: getattr(top_up, name) for name in card} == dict.fromkeys(card, "")
    assert StripeCustomer.objects.get().stripe_customer_id == ""


def test_a_reset_of_a_confirmed_account_keeps_its_card(stranger: Client, mailbox: Mailbox) -> None:
    user = victims_account()
    EmailAddress.objects.filter(user=user).update(verified=True)
    AutoTopUp.objects.create(wallet=wallet_of(user), card_label="Visa")

    choose_password(ask_for_reset(mailbox))

    assert AutoTopUp.objects.get().card_label == "Visa"


def test_a_link_alone_does_not_confirm_a_strangers_account(stranger: Client) -> None:
    link = mailed_link(VICTIM, "/confirm-email/")
    reader = Client()

    page = words(reader.get(link).content)
    answer = reader.post(link)

    assert "Didn't you sign up?" in page
    assert answer.headers["Location"].startswith("/accounts/login/?next=")
    assert not EmailAddress.objects.get().verified


def test_another_persons_session_does_not_confirm_it(stranger: Client, bob: User) -> None:
    link = mailed_link(VICTIM, "/confirm-email/")
    reader = Client()
    reader.force_login(bob)

    page = words(reader.get(link).content)
    reader.post(link)

    assert "You are logged in to another account" in page
    assert not EmailAddress.objects.get(email=VICTIM).verified
    assert is_signed_in(reader)


def test_the_password_that_signed_up_confirms_it(stranger: Client) -> None:
    link = mailed_link(VICTIM, "/confirm-email/")
    reader = Client()

    came_back = reader.post(
        "/accounts/login/", {"login": VICTIM, "password": PASSWORD, "next": link}
    )
    reader.post(came_back.headers["Location"])

    assert EmailAddress.objects.get().verified


def test_the_dashboard_asks_until_it_is_confirmed(stranger: Client) -> None:
    asked = words(stranger.get("/dashboard/keys/").content)

    stranger.post(mailed_link(VICTIM, "/confirm-email/"))

    assert f"Please confirm that {VICTIM} is yours" in asked
    assert "Please confirm that" not in words(stranger.get("/dashboard/keys/").content)


def test_a_confirmed_account_keeps_its_keys(alice: User, mailbox: Mailbox) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    EmailAddress.objects.create(user=alice, email="new@example.com")
    issue_api_key(own_seat(alice), name="Hers")

    before, _ = choose_password(ask_for_reset(mailbox, alice.email))

    assert ApiKey.objects.get().revoked_at is None
    assert "this ends" not in before
    assert "API keys go on working" in str(mailbox()[-1].body)
    assert not EmailAddress.objects.filter(email="new@example.com").exists()


def test_a_key_that_staff_made_for_somebody_without_a_password_goes_on(
    redis_wallets: SyncWalletClient, db: None, mailbox: Mailbox
) -> None:
    user = User.objects.create_user(VICTIM)
    issue_api_key(own_seat(user), name="From staff")

    choose_password(ask_for_reset(mailbox))

    assert ApiKey.objects.get().revoked_at is None
    assert EmailAddress.objects.get().verified


def test_a_reset_welcomes_who_confirms_by_it(
    stranger: Client, mailbox: Mailbox, settings: pytest.Session
) -> None:
    settings.WELCOME_CREDITS = 500  # type: ignore[attr-defined]

    choose_password(ask_for_reset(mailbox))

    assert LedgerEntry.objects.get().amount_credits == 500


def test_a_key_asked_for_with_the_old_password_is_refused(alice: User) -> None:
    as_it_was = User.objects.get(pk=alice.pk)
    alice.set_password(NEW)
    alice.save()

    with pytest.raises(SignedOut):
        issue_api_key(own_seat(as_it_was), name="Too late")

    assert not ApiKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_change_confirmed_at_once_by_two_is_made_once(
    redis_wallets: SyncWalletClient, mailbox: Mailbox
) -> None:
    user = person("victim")
    EmailAddress.objects.create(user=user, email=VICTIM, primary=True, verified=True)
    clients = [signed_in(user) for _ in range(3)]
    clients[0].post("/accounts/email/", {"email": "new@example.com", "action_add": ""})
    link = mailed_link("new@example.com", "/confirm-email/")

    # Each has read that nothing is confirmed before the first one writes.
    statuses = set(
        race(
            [lambda client=client: client.post(link).status_code for client in clients],  # type: ignore[misc]
            meet_at='UPDATE "account_emailaddress"',
        )
    )

    assert statuses <= {302, 404}
    (only,) = EmailAddress.objects.all()
    assert (only.email, only.verified, only.primary) == ("new@example.com", True, True)
    told = [sent.to for sent in mailbox() if sent.subject == "Your e-mail address was changed"]
    assert told == [[VICTIM], ["new@example.com"]]


@pytest.mark.django_db(transaction=True)
def test_one_address_signed_up_with_at_once_makes_one_account(
    redis_wallets: SyncWalletClient,
) -> None:
    form = {"email": VICTIM, "password1": PASSWORD}
    calls = [lambda: Client().post("/accounts/signup/", form).status_code] * 4

    answers = sorted(race(calls, meet_at='INSERT INTO "accounts_user"'))

    assert answers == [200, 200, 200, 302]
    assert User.objects.count() == 1
