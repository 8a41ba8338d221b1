"""What is told, to whom, and once."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import transaction

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.keys.api_keys import issue_api_key, revoke_api_key, rotate_api_key
from billing.models import Notice, NotificationSettings, Order
from billing.notices.notify import SWITCHES, is_switched_off, notify
from billing.notices.security import notify_new_sign_in
from billing.orders.notices import notify_dispute, notify_order, notify_refund
from tests.billing.notices.conftest import Mailbox
from tests.desk import NOON, make_order


def test_a_cause_that_is_told_twice_is_mailed_once(order: Order, mailbox: Mailbox) -> None:
    notify_order(order)
    notify_order(order)

    assert len(mailbox()) == 1


def test_what_is_rolled_back_is_not_told(alice: User, mailbox: Mailbox) -> None:
    with transaction.atomic():
        issue_api_key(own_seat(alice), name="Laptop")
        transaction.set_rollback(True)

    assert mailbox() == []


def test_a_new_key_is_told_without_its_secret(alice: User, mailbox: Mailbox) -> None:
    key, secret = issue_api_key(own_seat(alice), name="Laptop")

    (sent,) = mailbox()
    assert sent.to == [alice.email]
    assert key.hint in sent.subject
    assert secret not in str(sent.message())


def test_a_new_secret_is_told_without_it(alice: User, mailbox: Mailbox) -> None:
    key, old = issue_api_key(own_seat(alice), name="Laptop")
    old_hint = key.hint

    new = rotate_api_key(key)

    _, sent = mailbox()
    assert key.hint in sent.subject
    assert old_hint in str(sent.body)
    assert not any(secret in str(sent.message()) for secret in (old, new))


def test_a_secret_that_ends_at_once_is_not_said_to_work(alice: User, mailbox: Mailbox) -> None:
    key, _ = issue_api_key(own_seat(alice), name="Laptop")

    rotate_api_key(key, overlap=timedelta())

    assert "Old secret" not in str(mailbox()[1].body)


def test_a_key_that_is_revoked_is_told_once(alice: User, mailbox: Mailbox) -> None:
    key, _ = issue_api_key(own_seat(alice), name="Laptop")

    for _ in range(2):
        revoke_api_key(key)

    assert [key.hint in sent.subject for sent in mailbox()] == [True, True]
    assert mailbox()[1].subject == f"An API key was revoked: {key.hint}"


def test_whoever_uses_a_strangers_address_does_not_mail_the_stranger(
    alice: User, mailbox: Mailbox
) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=False)

    for number in range(3):
        key, _ = issue_api_key(own_seat(alice), name="You won! See prize.example")
        notify_new_sign_in(
            alice, reference=f"{number}", device_name="Firefox", address="192.0.2.7", at=NOON
        )
        rotate_api_key(key)
        revoke_api_key(key)

    assert mailbox() == []


@pytest.mark.parametrize("how", ["verified", "paid"])
def test_an_address_that_is_known_is_told_of_its_keys(
    how: str, alice: User, mailbox: Mailbox
) -> None:
    EmailAddress.objects.create(
        user=alice, email=alice.email, primary=True, verified=how == "verified"
    )
    if how == "paid":
        make_order(alice)

    issue_api_key(own_seat(alice), name="Laptop")

    assert len(mailbox()) == 1


def test_each_further_refund_is_told(order: Order, mailbox: Mailbox) -> None:
    for refunded_cents in (300, 300, 900):
        order.refunded_cents = refunded_cents
        notify_refund(order)

    assert [sent.subject for sent in mailbox()] == [
        "Refund: $3.00 for Small",
        "Refund: $9.00 for Small",
    ]


def test_a_receipt_says_what_was_paid_and_not_the_price(order: Order, mailbox: Mailbox) -> None:
    order.paid_cents, order.discount_cents = 450, 450
    notify_order(order)
    order.refunded_cents = 450
    notify_refund(order)

    receipt, refund = mailbox()
    assert receipt.subject == "Receipt: 1,000 credits for $4.50"
    assert "$9.00" not in receipt.body
    assert "The whole price" in str(refund.body)


def test_a_dispute_and_its_end_are_two_mails(order: Order, mailbox: Mailbox) -> None:
    for state in ("opened", "opened", "won"):
        notify_dispute(order, reference="dp_1", state=state)

    assert [sent.subject for sent in mailbox()] == [
        "Your payment is disputed, and your balance is frozen",
        "The dispute of your payment is over",
    ]


def test_a_dispute_is_told_with_what_its_customer_can_still_do(
    order: Order, mailbox: Mailbox
) -> None:
    for state in ("opened", "lost", "won"):
        notify_dispute(order, reference="dp_1", state=state)

    opened, lost, won = (all_words(sent) for sent in mailbox())
    # An inquiry takes nothing.
    assert "credits that this payment paid for may be set aside" in opened
    assert "one call to the bank" in opened
    assert "one call to the bank" not in lost + won
    assert "Write to support@example.com" in lost


def all_words(sent: EmailMultiAlternatives) -> str:
    """Return a mail's text and HTML with their white space made single."""
    return " ".join(f"{sent.body} {sent.alternatives[0][0]!s}".split())


@pytest.mark.parametrize("kind", Notice.Kind)
def test_only_what_is_not_vital_can_be_switched_off(alice: User, kind: Notice.Kind) -> None:
    NotificationSettings.objects.create(
        team=own_team(alice),
        user=alice,
        wants_low_balance=False,
        wants_lot_expiring=False,
        wants_top_up_succeeded=False,
        wants_monthly_summary=False,
    )

    told = notify(alice, kind, reference="1", team=own_team(alice))

    is_vital = kind not in SWITCHES
    assert (told is not None) == is_vital
    assert mail.outbox == []


def test_what_one_customer_switched_off_the_other_still_gets(alice: User, bob: User) -> None:
    NotificationSettings.objects.create(team=own_team(alice), user=alice, wants_low_balance=False)

    assert is_switched_off(alice, Notice.Kind.LOW_BALANCE, own_team(alice))
    assert not is_switched_off(bob, Notice.Kind.LOW_BALANCE, own_team(bob))
