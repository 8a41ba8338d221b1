"""Whoever leaves takes their data along, and leaves books without a name."""

import io
import json
import zipfile
from collections.abc import Iterator
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from psycopg.sql import SQL, Identifier
from pytest_django import Settings

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat, own_team
from billing.exceptions import LeavingRefused, PackUnavailable, PaymentProviderError
from billing.gifts.welcome import grant_welcome_credit
from billing.keys.api_keys import issue_api_key
from billing.keys.settings import KeySettings
from billing.leaving.deletion import delete_account
from billing.ledger.debits import decide_open
from billing.ledger.pushes import push_if_possible
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import (
    InboxItem,
    LedgerEntry,
    Notice,
    Order,
    Pack,
    Refund,
    SignIn,
    StatusSubscription,
    StripeEvent,
    TopUpConsent,
    Wallet,
    WelcomeCredit,
)
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.refunds import advance_refunds
from billing.teams.unspent import read_unspent
from devstack.ports import free_port
from tests.accounts.sign_up import PASSWORD
from tests.billing.notices.conftest import Mailbox, mailbox
from tests.billing.payments.conftest import hear, posted
from tests.conftest import open_fences, signed_in
from tests.stripe_sandbox import Sandbox
from tests.till import Till
from tests.user_agents import FIREFOX

__all__ = ["mailbox"]

NETWORK, AGENT, NAME = "203.0.113.77", FIREFOX, "Alice's own laptop"
PAGE = "/dashboard/settings/delete/"


@pytest.fixture(autouse=True)
def no_limits() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def traced(alice: User, fulfilled: Order, sandbox: Sandbox) -> User:
    """Alice, with everything that the product keeps about a person."""
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    form = {"login": alice.email, "password": PASSWORD}
    Client(headers={"User-Agent": AGENT}, REMOTE_ADDR=NETWORK).post("/accounts/login/", form)
    issue_api_key(own_seat(alice), name=NAME, settings=KeySettings(allowed_networks=(NETWORK,)))
    Authenticator.objects.create(user=alice, type="totp", data={"secret": "x"})
    Order.objects.filter(pk=fulfilled.pk).update(client_address=NETWORK)
    TopUpConsent.objects.create(
        wallet=wallet_of(alice),
        given_by=alice,
        version="1",
        text="Yes",
        pack_name="Starter",
        credits=1,
        amount_cents=1,
        currency="usd",
        threshold_credits=1,
        monthly_ceiling_cents=1,
        address=NETWORK,
    )
    StripeEvent.objects.create(
        event_id="evt_9", kind="x", payload={"object": {"email": "Alice@example.com"}}
    )
    InboxItem.objects.create(
        kind="x", reference="1", summary=f"Look at {alice.email}", detail={"who": alice.email}
    )
    StatusSubscription.objects.create(address=alice.email, language="en")
    Notice.objects.create(kind="incident", reference="1", address=alice.email)
    LogEntry.objects.create(
        user=alice, action_flag=2, object_repr=alice.email, change_message="Changed", object_id="1"
    )
    return alice


def everything() -> str:
    """Return every value of every table as text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(SQL("SELECT t::text FROM {} AS t").format(Identifier(table)))
            found += [f"{table}: {row[0]}" for row in cursor.fetchall()]
    return "\n".join(found)


def test_nothing_personal_is_in_any_column_afterwards(
    traced: User, settings: Settings, mailbox: Mailbox
) -> None:
    settings.WELCOME_CREDITS = 500
    grant_welcome_credit(traced, email=traced.email, ip_address=NETWORK)
    personal = (traced.email, NETWORK, "203.0.113.0", AGENT, NAME, "Firefox on Linux")
    before = everything()
    assert all(value in before for value in personal)

    delete_account(traced)
    mailbox()

    after = everything().lower()
    assert [value for value in personal if value.lower() in after] == []


def test_the_books_stay_and_the_keys_end(traced: User, fulfilled: Order) -> None:
    entries = list(LedgerEntry.objects.values_list("pk", "amount_credits"))

    delete_account(traced)

    assert list(LedgerEntry.objects.values_list("pk", "amount_credits")) == entries
    fulfilled.refresh_from_db()
    assert (fulfilled.buyer_id, fulfilled.amount_cents) == (traced.pk, 900)
    key = ApiKey.objects.get()
    assert key.revoked_at
    assert (key.name, key.allowed_networks) == ("Deleted", [])


def test_a_request_that_runs_is_settled_after_its_account_is_gone(
    alice: User, till: Till, sandbox: Sandbox
) -> None:
    grant_credits(wallet_of(alice), credits=1_000, reason="test")
    push_if_possible(wallet_of(alice).pk)
    till.place("running", 100)

    delete_account(alice)
    till.settle("running", 40)
    till.drain()

    assert wallet_of(alice).posted_credits == 960


def test_what_is_unspent_is_said_and_refunded_as_the_settings_let(
    alice: User, fulfilled: Order, till: Till, settings: Settings, mailbox: Mailbox
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    grant_credits(wallet_of(alice), credits=1_000, reason="test")
    push_if_possible(wallet_of(alice).pk)
    client = signed_in(alice)

    page = client.get(PAGE).content.decode()
    answer = client.post(PAGE, {"email": alice.email}, follow=True)
    till.drain()
    Refund.objects.update(next_attempt_at=timezone.now())
    advance_refunds()

    assert "$9.00 of Starter go back" in page
    assert "1,000 credits are lost" in " ".join(page.split())
    assert "Your account is deleted" in answer.content.decode()
    refund = Refund.objects.get()
    assert (refund.amount_cents, refund.status) == (900, Refund.Status.SUCCEEDED)
    goodbyes = [sent for sent in mailbox() if sent.subject == "Your account is deleted"]
    assert [sent.to for sent in goodbyes] == [["alice@example.com"]]
    assert "$9.00" in str(goodbyes[0].body)


def test_orders_that_are_spent_cost_the_page_nothing(
    alice: User, fulfilled: Order, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    with CaptureQueriesContext(connection) as before:
        unspent = read_unspent(own_team(alice))

    for number in range(5):
        names = {"stripe_session_id": f"cs_{number}", "stripe_payment_intent_id": f"pi_{number}"}
        values = {field.attname: getattr(fulfilled, field.attname) for field in Order._meta.fields}
        Order.objects.create(**{**values, "id": None, "public_id": uuid4(), **names})
    with CaptureQueriesContext(connection) as after:
        again = read_unspent(own_team(alice))

    assert [order for order, _ in unspent.offers] == [fulfilled]
    assert again == unspent
    assert len(after) == len(before)


def test_nothing_is_refunded_where_the_settings_offer_nothing(
    alice: User, fulfilled: Order
) -> None:
    assert read_unspent(own_team(alice)).offers == ()

    delete_account(alice)

    assert not Refund.objects.exists()


def test_it_takes_the_address_and_a_fresh_session(alice: User, sandbox: Sandbox) -> None:
    stale = Client()
    stale.force_login(alice)

    asked = stale.post(PAGE, {"email": alice.email})
    mistyped = signed_in(alice).post(PAGE, {"email": "somebody@example.com"})

    assert "reauthenticate" in asked.headers["Location"]
    assert "not this account" in mistyped.content.decode()
    alice.refresh_from_db()
    assert alice.is_active


@pytest.mark.parametrize("status", ["pending", "review"])
def test_a_payment_under_way_is_awaited(alice: User, order: Order, status: str) -> None:
    Order.objects.filter(pk=order.pk).update(status=status)

    with pytest.raises(LeavingRefused):
        delete_account(alice)

    assert User.objects.get(pk=alice.pk).email == "alice@example.com"


def test_an_open_payment_page_ends_with_its_account(
    alice: User, order: Order, sandbox: Sandbox
) -> None:
    delete_account(alice)

    assert sandbox.session(order.stripe_session_id).status == "expired"
    assert sandbox.pay(order.stripe_session_id) >= 400
    order.refresh_from_db()
    assert order.status == Order.Status.EXPIRED


def test_a_page_that_was_just_paid_is_told_before_anything_is_lost(
    alice: User, paid: Order
) -> None:
    page = signed_in(alice).post(PAGE, {"email": alice.email}).content.decode()

    assert "A payment has just arrived. Look again at what is unspent." in page
    assert "1,000,000 credits are lost" in " ".join(page.split())
    alice.refresh_from_db()
    assert (alice.is_active, posted(alice)) == (True, 1_000_000)
    delete_account(alice)


def test_a_debit_that_was_just_given_is_awaited(
    alice: User, order: Order, sandbox: Sandbox
) -> None:
    sandbox.control(f"checkout/{order.stripe_session_id}/pay", method="bank")

    with pytest.raises(LeavingRefused, match="on its way"):
        delete_account(alice)


def test_an_account_can_go_whose_page_is_in_another_stripe_account(
    alice: User, order: Order, sandbox: Sandbox
) -> None:
    sandbox.forget()

    delete_account(alice)

    order.refresh_from_db()
    assert order.status == Order.Status.EXPIRED


def test_an_account_stays_while_its_page_can_not_be_ended(
    alice: User, order: Order, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(PaymentProviderError):
        delete_account(alice)

    alice.refresh_from_db()
    assert alice.is_active


def test_nothing_is_sold_to_an_account_that_has_just_gone(alice: User, pack: Pack) -> None:
    delete_account(alice)

    with pytest.raises(PackUnavailable):
        start_checkout(own_seat(alice), pack_slug=pack.slug)

    assert not Order.objects.exists()


def test_money_that_arrives_all_the_same_is_returned_and_told(
    alice: User, paid: Order, sandbox: Sandbox
) -> None:
    # As after a restore of the books: Stripe knows of the payment, and they say it has ended.
    Order.objects.filter(pk=paid.pk).update(status=Order.Status.EXPIRED)
    delete_account(alice)

    for _ in range(2):
        fulfil_checkout(paid.stripe_session_id or "")
    advance_refunds()

    paid.refresh_from_db()
    assert (paid.status, posted(alice)) == (Order.Status.REVIEW, 0)
    assert "deleted" in InboxItem.objects.get().summary
    refund = Refund.objects.get()
    assert (refund.amount_cents, refund.status) == (900, Refund.Status.SUCCEEDED)
    assert paid.refunded_cents == 900


def test_a_refund_that_nobody_can_ask_for_again_is_told(
    alice: User, fulfilled: Order, till: Till, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    with till.redis_away():
        delete_account(alice)
    open_fences(till.client)
    # Redis has not heard of the deletion yet, nor of what it takes.
    till.place("running", 1)
    till.settle("running", 1)
    till.drain()
    decide_open()
    till.drain()
    Refund.objects.update(next_attempt_at=timezone.now())

    advance_refunds()

    assert Refund.objects.get().status == Refund.Status.REFUSED
    assert InboxItem.objects.get().kind == "refund_refused"


def test_what_goes_wrong_with_a_payment_afterwards_reaches_a_person(
    alice: User, fulfilled: Order, sandbox: Sandbox, till: Till, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    delete_account(alice)
    till.drain()
    Refund.objects.update(next_attempt_at=timezone.now())
    advance_refunds()
    charge_id = fulfilled.stripe_charge_id
    assert Refund.objects.get().status == Refund.Status.SUCCEEDED

    sandbox.control(f"refunds/{sandbox.refund_ids(charge_id)[0]}/fail")
    hear("refund.failed", "re_1", charge=charge_id)
    dispute_id = sandbox.dispute(charge_id)
    hear("charge.dispute.created", dispute_id, charge=charge_id)

    kinds = set(InboxItem.objects.values_list("kind", flat=True))
    assert {"refund_failed", "dispute"} <= kinds
    assert alice.email not in str(list(InboxItem.objects.values()))
    till.wallet.refresh_from_db()
    assert till.wallet.state == Wallet.State.FROZEN


def test_staff_and_debtors_stay(alice: User, bob: User, sandbox: Sandbox) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    Wallet.objects.filter(team__person=bob).update(debt_credits=5)

    for user in User.objects.all():
        with pytest.raises(LeavingRefused):
            delete_account(user)


def test_the_address_is_free_again_and_is_not_welcomed_twice(
    alice: User, settings: Settings, sandbox: Sandbox
) -> None:
    settings.WELCOME_CREDITS = 500
    grant_welcome_credit(alice, email=alice.email, ip_address=NETWORK)

    delete_account(alice)
    again = User.objects.create_user("alice@example.com")

    assert grant_welcome_credit(again, email=again.email, ip_address="198.51.100.1") is None
    assert WelcomeCredit.objects.get(user=again).refusal == "address"


def test_the_old_session_and_password_open_nothing(traced: User) -> None:
    client = signed_in(traced)

    delete_account(traced)

    assert client.get("/dashboard/").status_code == 302
    assert not SignIn.objects.exists()


def test_the_export_has_what_is_theirs_and_no_secret(traced: User, bob: User) -> None:
    issue_api_key(own_seat(bob), name="Bob's own")
    traced.refresh_from_db()

    answer = signed_in(traced).post("/dashboard/settings/data/export/")

    content = b"".join(answer)
    answer.close()
    with zipfile.ZipFile(io.BytesIO(content)) as folder:
        names = set(folder.namelist())
        texts = {name: folder.read(name).decode() for name in names}
    assert {"account.json", "api_keys.json", "orders.json", "mails.json", "usage.csv"} <= names
    assert any(name.startswith("statements/") for name in names)
    assert json.loads(texts["account.json"])["email"] == traced.email
    assert json.loads(texts["api_keys.json"])[0]["name"] == NAME
    assert json.loads(texts["orders.json"])[0]["amount_cents"] == 900
    assert json.loads(texts["status_subscription.json"])[0]["address"] == traced.email
    everything_of_theirs = "".join(texts.values())
    for secret in ("digest", "password", "secret", traced.password, "Bob's own"):
        assert secret not in everything_of_theirs


def test_exports_are_limited(alice: User, sandbox: Sandbox) -> None:
    client = signed_in(alice)

    answers = [client.post("/dashboard/settings/data/export/") for _ in range(11)]
    for answer in answers:
        answer.close()

    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
