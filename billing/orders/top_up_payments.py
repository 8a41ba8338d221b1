"""Payments of top-ups: a saved card is charged while its owner is away.

A payment that brings no credits switches the top-up off, and its owner is notified.
"""

from urllib.parse import urlencode

import stripe
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from billing.customers.at_stripe import forget_customer
from billing.exceptions import (
    PaymentObjectMissing,
    PaymentProviderError,
    PaymentProviderRefusal,
)
from billing.ledger.inbox import file_item
from billing.models import AutoTopUp, Order, TopUpPayment
from billing.orders.fulfilment import PaymentChannel, Terms, fulfil
from billing.orders.notices import (
    notify_top_up_action,
    notify_top_up_declined,
    notify_top_up_succeeded,
)
from billing.stripe_api import parse_order_id
from billing.stripe_api.card_payments import (
    INTENT_ID,
    CardPayment,
    cancel_payment,
    names_method,
    read_payment,
)
from billing.stripe_api.payments import PaymentState
from billing.top_ups.notices import notify_top_up_off
from billing.top_ups.switch import (
    OffReason,
    switch_off,
    switch_off_for_orphan,
    switch_off_for_review,
)

# Decline codes that may be shown. For the others Stripe advises to say only "declined".
# https://docs.stripe.com/declines/codes
DECLINE_WORDS = {
    "insufficient_funds": "not enough money on it",
    "expired_card": "it has expired",
    "card_velocity_exceeded": "its limit is reached",
    "withdrawal_count_limit_exceeded": "its limit is reached",
    # Ours: it is gone at Stripe, or Stripe refuses to use it for this.
    "method_missing": "it is no longer saved",
    "method_refused": "it can't be charged automatically",
}

log = structlog.get_logger(__name__)


def fulfil_top_up(payment_intent_id: str) -> Order:
    """Book what became of a top-up's PaymentIntent and return its order, as `fulfil` says."""
    return fulfil(TOP_UP, payment_intent_id)


def fail_top_up(order: Order, *, reason: AutoTopUp.OffReason, decline_code: str) -> None:
    """Fail a locked, unpaid order, and switch the top-up off if it still uses the card.

    The mail is written down in the caller's transaction.
    """
    order.status = Order.Status.FAILED
    order.save(update_fields=["status"])
    _switch_off_for_failure(order, reason=reason, decline_code=decline_code)


@transaction.atomic(durable=True)
def refuse_top_up(order: Order, refusal: PaymentProviderRefusal) -> None:
    """Fail an order that Stripe refused to charge, and switch its top-up off. Safe to repeat.

    What is gone at Stripe, or refused for this use, is forgotten, so that another one is saved.
    """
    locked = Order.objects.select_for_update().get(pk=order.pk)
    if locked.status not in Order.UNPAID:
        return
    reason, code = _ground(refusal)
    fail_top_up(locked, reason=reason, decline_code=code)
    if reason == OffReason.FAULT:
        file_item(
            kind="top_up_refused",
            reference=str(order.public_id),
            summary=f"Stripe refuses to charge a top-up: {refusal.__cause__ or refusal}",
        )
    elif code in ("method_missing", "method_refused"):
        _forget_method(order)
    if isinstance(refusal, PaymentObjectMissing) and refusal.param == "customer":
        forget_customer(order.top_up_payment.stripe_customer_id)


def _ground(refusal: PaymentProviderRefusal) -> tuple[AutoTopUp.OffReason, str]:
    """Return why a charge was refused without a payment: the reason, and a decline code."""
    if isinstance(refusal, PaymentObjectMissing) and refusal.param in {
        "customer",
        "payment_method",
    }:
        return OffReason.DECLINED, "method_missing"
    if isinstance(refusal.__cause__, stripe.CardError):
        return OffReason.DECLINED, refusal.code
    if names_method(refusal):
        return OffReason.DECLINED, "method_refused"
    return OffReason.FAULT, refusal.code or "refused"


def _forget_method(order: Order) -> None:
    AutoTopUp.objects.filter(
        wallet__team=order.team_id,
        stripe_payment_method_id=order.top_up_payment.stripe_payment_method_id,
    ).exclude(state=AutoTopUp.State.ON).update(stripe_payment_method_id="", card_label="")


class TopUpChannel(PaymentChannel[CardPayment]):
    """A saved card that we charge."""

    noun = "top-up's payment"
    id_pattern = INTENT_ID

    def read(self, stripe_id: str) -> CardPayment:
        return read_payment(stripe_id)

    def find_known(self, stripe_id: str) -> Order | None:
        return _top_ups().filter(stripe_payment_intent_id=stripe_id).first()

    def find_order(self, payment: CardPayment) -> Order | None:
        order_id = parse_order_id(payment.order_id)
        return _top_ups().filter(public_id=order_id).first() if order_id else None

    def is_ours(self, payment: CardPayment) -> bool:
        return payment.channel == Order.Channel.TOP_UP

    def terms(self, order: Order, payment: CardPayment) -> Terms:
        """Return what must be as agreed: exactly the order's price, paid by the same customer."""
        charge = payment.charge
        return {
            "channel": (order.channel, payment.channel),
            "customer": (order.top_up_payment.stripe_customer_id, payment.customer_id),
            "amount": (order.amount_cents, payment.amount_cents),
            "received": (order.amount_cents, payment.paid_cents),
            "charge": (order.amount_cents, charge.amount_cents if charge else None),
        }

    def after_credit(self, order: Order) -> None:
        notify_top_up_succeeded(order)

    def after_failure(self, order: Order, payment: CardPayment) -> None:
        reason = OffReason.DECLINED
        if payment.needs_authentication:
            reason = OffReason.AUTHENTICATION
        code = payment.decline_code or payment.error_code or payment.status
        _switch_off_for_failure(order, reason=reason, decline_code=code)

    def without_credits(self, order: Order | None, payment: CardPayment) -> None:
        """Switch the top-up off: the balance is as low as before and would be charged for again."""
        if order is not None:
            switch_off_for_review(order)
        else:
            switch_off_for_orphan(payment.customer_id, payment.payment_intent_id)

    def after_commit(self, order: Order, payment: CardPayment) -> None:
        """Cancel a refused payment, so that nobody can pay it later."""
        is_refused = payment.state is PaymentState.FAILED and payment.status != "canceled"
        if not is_refused or order.status != Order.Status.FAILED:
            return
        try:
            cancel_payment(payment.payment_intent_id)
        except PaymentProviderError:
            log.warning("payment_not_cancelled", payment_intent_id=payment.payment_intent_id)


TOP_UP = TopUpChannel()


def _top_ups() -> QuerySet[Order]:
    return Order.objects.filter(channel=Order.Channel.TOP_UP)


def _switch_off_for_failure(
    order: Order, *, reason: AutoTopUp.OffReason, decline_code: str
) -> None:
    """Keep why a payment failed; switch the top-up off and notify, if it still uses the card."""
    asked = TopUpPayment.objects.get(order=order)
    asked.decline_code = decline_code[:60]
    asked.save(update_fields=["decline_code"])
    top_up = AutoTopUp.objects.get(wallet__team=order.team_id)
    if switch_off(top_up, reason, detail=decline_code, method_id=asked.stripe_payment_method_id):
        _notify_failure(order, reason, decline_code)


def _notify_failure(order: Order, reason: AutoTopUp.OffReason, decline_code: str) -> None:
    # Our own page, which leads to Checkout: a Checkout Session would expire within a day.
    pack = order.pack
    path = reverse("checkout", args=[pack.slug]) if pack else reverse("packs")
    url = f"{settings.SITE_URL}{path}?{urlencode({'currency': order.currency})}"
    if reason == OffReason.FAULT:
        notify_top_up_off(AutoTopUp.objects.get(wallet__team=order.team_id), reason=reason)
    elif reason == OffReason.AUTHENTICATION:
        notify_top_up_action(order, checkout_url=url)
    else:
        words = DECLINE_WORDS.get(decline_code, "")
        notify_top_up_declined(order, reason=words, checkout_url=url)
