"""What a customer reads where a payment did not go the straight way."""

import pytest
from django.test import Client

from accounts.models import User
from billing.ledger.wallets import freeze_wallet, grant_credits, wallet_of
from billing.models import Dispute, Order, Refund, Wallet
from tests.billing.views.conftest import MakeOrder


def read(client: Client, path: str) -> str:
    """Return a page's text with its white space made single."""
    return " ".join(client.get(path).content.decode().split())


def page_of(client: Client, order: Order) -> str:
    return read(client, f"/dashboard/orders/{order.public_id}/")


def dispute(order: Order, status: str) -> None:
    """Let a bank dispute $9.00 of an order, or ask about it."""
    Dispute.objects.create(order=order, stripe_dispute_id="du_1", amount_cents=900, status=status)


@pytest.mark.parametrize(
    ("status", "words"),
    [("pending", "$9.00 for Starter is on its way"), ("review", "$9.00 for Starter arrived")],
)
def test_the_overview_tells_who_paid_where_the_tokens_are(
    as_alice: Client, order: MakeOrder, status: str, words: str
) -> None:
    made = order(status)

    page = read(as_alice, "/dashboard/")

    assert words in page
    assert f'href="/dashboard/orders/{made.public_id}/"' in page


@pytest.mark.parametrize("status", ["open", "fulfilled", "failed", "expired", "closed"])
def test_the_overview_says_nothing_of_an_order_that_waits_for_no_money(
    as_alice: Client, order: MakeOrder, status: str
) -> None:
    order(status)

    assert "Starter" not in read(as_alice, "/dashboard/")


def test_bob_reads_nothing_of_alices_payment(as_bob: Client, order: MakeOrder) -> None:
    dispute(order("pending"), "needs_response")

    assert "Starter" not in read(as_bob, "/dashboard/")


@pytest.mark.parametrize("status", ["needs_response", "warning_under_review"])
def test_a_frozen_balance_names_the_payment_that_is_disputed(
    alice: User, as_alice: Client, order: MakeOrder, status: str
) -> None:
    made = order("fulfilled")
    dispute(made, status)
    freeze_wallet(wallet_of(alice), reason="dispute")

    page = read(as_alice, "/dashboard/")

    assert f'Your bank questions <a href="/dashboard/orders/{made.public_id}/">' in page
    # They may have been taken back.
    assert "Your credits stay where they are" not in page


@pytest.mark.usefixtures("unchecked_books")
def test_the_first_steps_claim_no_tokens_that_were_taken_back(
    alice: User, as_alice: Client
) -> None:
    grant_credits(wallet_of(alice), credits=50_000, reason="test")
    Wallet.objects.filter(team__person=alice).update(posted_credits=0)

    page = read(as_alice, "/dashboard/")

    assert "there are credits in your balance" not in page
    assert "Done: credits were added to your balance." in page


def test_an_order_says_that_its_bank_only_asks_so_far(as_alice: Client, order: MakeOrder) -> None:
    made = order("fulfilled")
    dispute(made, "warning_needs_response")

    page = page_of(as_alice, made)

    assert "Your bank asks about this payment" in page
    assert "Your bank disputes" not in page


def test_an_order_says_how_its_dispute_ended(as_alice: Client, order: MakeOrder) -> None:
    made = order("fulfilled", disputed_cents=900, clawed_back_credits=1_000_000)
    dispute(made, "lost")

    page = page_of(as_alice, made)

    assert "Your bank took $9.00 of the payment back, and has closed the dispute." in page
    assert "Your bank disputes" not in page


def test_an_order_says_what_a_refund_that_could_not_be_delivered_means(
    as_alice: Client, order: MakeOrder
) -> None:
    made = order("fulfilled")
    Refund.objects.create(order=made, amount_cents=900, status=Refund.Status.FAILED)

    page = page_of(as_alice, made)

    assert "Your bank did not take the refund" in page
    assert "mailto:" in page.partition("did not take the refund")[2].partition("</p>")[0]


@pytest.mark.parametrize("status", [Refund.Status.SUCCEEDED, Refund.Status.PENDING])
def test_an_order_says_nothing_of_a_refund_that_goes_well(
    as_alice: Client, order: MakeOrder, status: str
) -> None:
    made = order("fulfilled")
    Refund.objects.create(order=made, amount_cents=900, status=status)

    assert "did not take the refund" not in page_of(as_alice, made)


def test_who_returns_to_an_order_that_a_person_closed_is_not_told_that_it_expired(
    as_alice: Client, order: MakeOrder
) -> None:
    order("closed", stripe_session_id=None)
    Order.objects.update(stripe_session_id="cs_test_alice")

    page = read(as_alice, "/billing/return/?session_id=cs_test_alice")

    assert "This order was closed" in page
    assert "expired" not in page


def test_who_buys_while_something_is_owed_reads_what_becomes_of_it(
    alice: User, as_alice: Client, order: MakeOrder
) -> None:
    Wallet.objects.filter(team__person=alice).update(debt_credits=480)
    order("failed")

    page = read(as_alice, "/billing/checkout/starter/")

    assert "480 of these credits pay what you owe" in page


def test_who_buys_while_the_balance_is_frozen_is_warned(
    alice: User, as_alice: Client, order: MakeOrder
) -> None:
    order("failed")
    freeze_wallet(wallet_of(alice), reason="dispute")

    page = read(as_alice, "/billing/checkout/starter/")

    assert "Your balance is frozen" in page
    assert "Continue to payment" in page


def test_who_buys_as_usual_is_warned_of_nothing(as_alice: Client, order: MakeOrder) -> None:
    order("failed")

    page = read(as_alice, "/billing/checkout/starter/")

    assert "Continue to payment" in page
    assert 'class="notice ' not in page.partition("<h1>")[2]
