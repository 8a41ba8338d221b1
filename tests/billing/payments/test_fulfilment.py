from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.teams.members import own_seat
from billing.exceptions import OrderMissing, PaymentProviderError
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import InboxItem, LedgerEntry, Lot, Order, Pack
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.stripe_inbox.events import process_due_events, receive_event
from billing.stripe_inbox.open_orders import check_open_orders
from common.credits import MAX_CREDITS
from tests.billing.payments.conftest import posted, status_of
from tests.deaths import dies_at_statement
from tests.racing import race
from tests.stripe_sandbox import DECLINES, Sandbox, event_body, sign
from tests.till import Till

Status = Order.Status
Way = Callable[[Order], object]


def by_webhook(order: Order) -> None:
    body = event_body("checkout.session.completed", id=order.stripe_session_id)
    receive_event(body, sign(body))
    process_due_events()


def by_return_page(order: Order) -> None:
    fulfil(order)


def by_sweep(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(next_check_at=timezone.now())
    check_open_orders()


WAYS: list[Way] = [by_webhook, by_return_page, by_sweep]


def fulfil(order: Order) -> Order:
    return fulfil_checkout(order.stripe_session_id or "")


def test_a_payment_becomes_credits(paid: Order, alice: User) -> None:
    order = fulfil(paid)

    assert posted(alice) == 1_000_000
    assert order.status == Status.FULFILLED
    entry = LedgerEntry.objects.get()
    assert (entry.kind, entry.reference) == ("purchase", str(paid.public_id))
    lot = Lot.objects.get()
    assert (lot.remaining_credits, lot.is_promotional) == (1_000_000, False)
    assert lot.expires_at is not None
    assert order.fulfilled_at is not None
    assert lot.expires_at - order.fulfilled_at == timedelta(days=30)


def test_the_credits_can_be_spent_at_once(paid: Order, till: Till) -> None:
    fulfil(paid)

    assert till.balance().available_credits == 1_000_000


def test_it_keeps_where_the_payment_and_its_receipt_are(paid: Order, sandbox: Sandbox) -> None:
    order = fulfil(paid)

    session = sandbox.session(paid.stripe_session_id)
    assert order.stripe_payment_intent_id == session.payment_intent
    assert sandbox.http.get(order.receipt_url).status_code == 200


@pytest.mark.parametrize("way", WAYS)
def test_each_way_alone_is_enough(paid: Order, alice: User, way: Way) -> None:
    way(paid)

    assert status_of(paid) == Status.FULFILLED
    assert posted(alice) == 1_000_000


@pytest.mark.parametrize("way", WAYS)
def test_once_more_credits_nothing(paid: Order, alice: User, way: Way) -> None:
    fulfil(paid)

    way(paid)

    assert posted(alice) == 1_000_000


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_credited_before_it_is_paid(order: Order, alice: User, way: Way) -> None:
    way(order)

    assert status_of(order) == Status.OPEN
    assert posted(alice) == 0


@pytest.mark.parametrize(
    "meet_at",
    [None, 'FROM "billing_order"', 'INSERT INTO "billing_ledgerentry"', "UPDATE"],
)
def test_all_ways_at_once_credit_once(paid: Order, alice: User, meet_at: str | None) -> None:
    race([partial(way, paid) for way in WAYS * 2], meet_at=meet_at)

    assert status_of(paid) == Status.FULFILLED
    assert posted(alice) == 1_000_000
    assert LedgerEntry.objects.count() == Lot.objects.count() == 1


def test_a_pack_edited_after_the_order_changes_nothing(paid: Order, alice: User) -> None:
    Pack.objects.update(credits=5, price_cents=50, currency="eur", validity_days=1)

    fulfil(paid)

    assert posted(alice) == 1_000_000


def test_a_pack_deleted_after_the_order_changes_nothing(paid: Order, alice: User) -> None:
    Pack.objects.all().delete()

    fulfil(paid)

    assert posted(alice) == 1_000_000
    assert status_of(paid) == Status.FULFILLED


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount_total", 899),
        ("amount_total", 901),
        ("amount_total", None),
        ("currency", "eur"),
        ("client_reference_id", "5e0cfb1e-8f6d-4f2e-9d43-3b9f1a8a1111"),
        ("client_reference_id", None),
        ("metadata", {}),
        ("metadata", {"order_id": "5e0cfb1e-8f6d-4f2e-9d43-3b9f1a8a1111"}),
        ("livemode", True),
        ("mode", "setup"),
        ("payment_status", "no_payment_required"),
    ],
)
def test_a_payment_that_differs_waits_for_a_person(
    paid: Order, alice: User, sandbox: Sandbox, field: str, value: Any
) -> None:
    sandbox.tamper(paid.stripe_session_id, **{field: value})

    fulfil(paid)
    fulfil(paid)

    assert status_of(paid) == Status.REVIEW
    assert paid.review_reason
    assert paid.stripe_payment_intent_id
    assert posted(alice) == 0
    assert InboxItem.objects.get().reference == str(paid.public_id)


def test_only_a_person_takes_an_order_out_of_review(
    paid: Order, alice: User, sandbox: Sandbox
) -> None:
    sandbox.tamper(paid.stripe_session_id, amount_total=1)
    fulfil(paid)

    sandbox.tamper(paid.stripe_session_id, amount_total=900)
    fulfil(paid)

    assert status_of(paid) == Status.REVIEW
    assert posted(alice) == 0


def test_a_session_that_names_another_customers_order_touches_neither(
    paid: Order, alice: User, bob: User, sandbox: Sandbox
) -> None:
    order_of_bob = start_checkout(own_seat(bob), pack_slug="starter")
    order_id = str(order_of_bob.public_id)
    sandbox.tamper(
        paid.stripe_session_id, client_reference_id=order_id, metadata={"order_id": order_id}
    )

    fulfil(paid)

    assert status_of(paid) == Status.REVIEW
    assert status_of(order_of_bob) == Status.OPEN
    assert posted(alice) == posted(bob) == 0


def test_a_wallet_that_would_overflow_waits_for_a_person(paid: Order, alice: User) -> None:
    grant_credits(wallet_of(alice), credits=MAX_CREDITS, reason="All there is")

    fulfil(paid)

    assert status_of(paid) == Status.REVIEW
    assert posted(alice) == MAX_CREDITS
    assert InboxItem.objects.get().kind == "order_mismatch"


def test_a_declined_card_can_be_followed_by_one_that_pays(
    order: Order, alice: User, sandbox: Sandbox
) -> None:
    sandbox.pay(order.stripe_session_id, card=DECLINES)
    fulfil(order)
    assert status_of(order) == Status.OPEN

    sandbox.pay(order.stripe_session_id)
    fulfil(order)

    assert posted(alice) == 1_000_000


@pytest.mark.parametrize("way", WAYS)
def test_an_expired_session_closes_the_order(
    order: Order, alice: User, sandbox: Sandbox, way: Way
) -> None:
    sandbox.expire(order.stripe_session_id)

    way(order)

    assert status_of(order) == Status.EXPIRED
    assert posted(alice) == 0


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.FAILED])
def test_a_late_payment_of_a_closed_order_is_still_credited(
    paid: Order, alice: User, status: Status
) -> None:
    Order.objects.update(status=status)

    fulfil(paid)

    assert status_of(paid) == Status.FULFILLED
    assert posted(alice) == 1_000_000


def test_an_expiry_never_undoes_a_fulfilment(paid: Order, alice: User, sandbox: Sandbox) -> None:
    fulfil(paid)
    sandbox.tamper(paid.stripe_session_id, status="expired", payment_status="unpaid")

    fulfil(paid)

    assert status_of(paid) == Status.FULFILLED
    assert posted(alice) == 1_000_000


def test_an_asynchronous_payment_is_waited_for_and_then_credited(
    paid: Order, alice: User, sandbox: Sandbox
) -> None:
    sandbox.tamper(paid.stripe_session_id, payment_status="unpaid")
    sandbox.tamper(intent_of(paid, sandbox), status="processing")
    fulfil(paid)
    assert status_of(paid) == Status.PENDING

    sandbox.tamper(paid.stripe_session_id, payment_status="paid")
    by_sweep(paid)

    assert status_of(paid) == Status.FULFILLED
    assert posted(alice) == 1_000_000


def test_an_asynchronous_payment_that_is_refused_fails_the_order(
    paid: Order, alice: User, sandbox: Sandbox
) -> None:
    sandbox.tamper(paid.stripe_session_id, payment_status="unpaid")
    sandbox.tamper(intent_of(paid, sandbox), status="requires_payment_method")

    fulfil(paid)

    assert status_of(paid) == Status.FAILED
    assert posted(alice) == 0


def test_a_session_whose_answer_was_lost_is_known_by_its_reference(
    paid: Order, alice: User
) -> None:
    session_id = paid.stripe_session_id
    Order.objects.update(stripe_session_id=None, stripe_session_url="")

    fulfil_checkout(session_id or "")

    assert status_of(paid) == Status.FULFILLED
    assert paid.stripe_session_id == session_id
    assert posted(alice) == 1_000_000


def test_an_order_paid_through_two_sessions_is_credited_once_and_reported(
    paid: Order, alice: User, bob: User, sandbox: Sandbox
) -> None:
    fulfil(paid)
    second = start_checkout(own_seat(bob), pack_slug="starter").stripe_session_id
    Order.objects.filter(buyer=bob).delete()
    sandbox.pay(second)
    order_id = str(paid.public_id)
    sandbox.tamper(second, client_reference_id=order_id, metadata={"order_id": order_id})

    fulfil_checkout(second or "")

    assert posted(alice) == 1_000_000
    item = InboxItem.objects.get()
    assert (item.kind, item.reference) == ("order_paid_twice", second)


def test_a_payment_without_an_order_is_reported(paid: Order) -> None:
    Order.objects.all().delete()

    with pytest.raises(OrderMissing):
        fulfil(paid)

    assert InboxItem.objects.get().kind == "payment_without_order"


def test_a_session_of_something_else_that_we_sell_is_left_alone(
    paid: Order, sandbox: Sandbox
) -> None:
    Order.objects.all().delete()
    sandbox.tamper(paid.stripe_session_id, client_reference_id="shirt-42", metadata={})

    with pytest.raises(OrderMissing):
        fulfil(paid)

    assert not InboxItem.objects.exists()


@pytest.mark.parametrize("session_id", ["", "cs_test_\x00", "cs_/../../charges", "pi_123", "cs_é"])
def test_a_text_that_is_no_session_id_never_reaches_stripe(session_id: str) -> None:
    with pytest.raises(OrderMissing):
        fulfil_checkout(session_id)


def test_an_unknown_session_is_an_error_of_its_own(order: Order) -> None:
    with pytest.raises(PaymentProviderError):
        fulfil_checkout("cs_test_unknown")

    assert status_of(order) == Status.OPEN


def test_dying_at_any_statement_and_running_again_ends_the_same(paid: Order, alice: User) -> None:
    deaths = 0
    while dies_at_statement(lambda: fulfil(paid), deaths + 1):
        deaths += 1
        assert posted(alice) in {0, 1_000_000}

    fulfil(paid)

    # Lock, wallet, entry, lot, balance and order are statements of their own.
    assert deaths > 8
    assert status_of(paid) == Status.FULFILLED
    assert posted(alice) == 1_000_000
    assert LedgerEntry.objects.count() == Lot.objects.count() == 1


def intent_of(order: Order, sandbox: Sandbox) -> str:
    intent = sandbox.session(order.stripe_session_id).payment_intent
    assert isinstance(intent, str)
    return intent


def test_a_payment_that_adds_up_but_for_another_price_waits_for_a_person(
    paid: Order, alice: User, sandbox: Sandbox
) -> None:
    """Session and charge agree with each other, as if the price had been swapped."""
    intent = intent_of(paid, sandbox)
    sandbox.tamper(paid.stripe_session_id, amount_subtotal=800, amount_total=800)
    sandbox.tamper(sandbox.charge_id(intent), amount=800, amount_captured=800)

    fulfil(paid)

    assert status_of(paid) == Status.REVIEW
    assert paid.review_reason == "subtotal is 800, expected 900"
    assert posted(alice) == 0


def test_a_payment_in_another_currency_waits_for_a_person(
    paid: Order, alice: User, sandbox: Sandbox
) -> None:
    intent = intent_of(paid, sandbox)
    sandbox.tamper(paid.stripe_session_id, currency="eur")
    sandbox.tamper(sandbox.charge_id(intent), currency="eur")

    fulfil(paid)

    assert status_of(paid) == Status.REVIEW
    assert paid.review_reason == "currency is 'eur', expected 'usd'"
    assert posted(alice) == 0


def test_a_discount_that_was_not_offered_waits_for_a_person(
    paid: Order, alice: User, sandbox: Sandbox
) -> None:
    intent = intent_of(paid, sandbox)
    sandbox.tamper(
        paid.stripe_session_id, **{"total_details.amount_discount": 300, "amount_total": 600}
    )
    sandbox.tamper(sandbox.charge_id(intent), amount=600, amount_captured=600)

    fulfil(paid)

    assert status_of(paid) == Status.REVIEW
    assert paid.review_reason == "discount is False, expected True"
    assert posted(alice) == 0
