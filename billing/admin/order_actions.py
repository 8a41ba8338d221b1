"""The actions on orders: ask Stripe again, refund, take out of review."""

from uuid import UUID, uuid4, uuid5

from django import forms

from accounts.desk.actions import Asked, ReasonForm, StaffAction
from billing.admin.limited import LimitedAction
from billing.catalogue.pack_prices import to_cents
from billing.models import Order, Refund
from billing.orders.refund_offers import offer_unused, owed_after
from billing.orders.refunds import PAID, refund_amount, refund_unused
from billing.orders.reviews import close_reviewed, credit_reviewed
from billing.stripe_inbox.open_orders import ask_again
from common import money


class RefundUnusedForm(ReasonForm):
    """A refund of what is unused. Because of `once`, a second press of the button does nothing."""

    once = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)


class RefundForm(RefundUnusedForm):
    """An amount to refund."""

    amount = forms.DecimalField(
        min_value=0,
        max_digits=12,
        decimal_places=3,
        help_text="In the order's currency, such as 4.50. What was spent of its share of the"
        " credits is owed by the customer afterwards.",
    )
    kind = forms.ChoiceField(label="Why, for the bank", choices=Refund.Reason.choices)
    field_order = ("amount", "kind", "reason")


def ask_stripe(asked: Asked[Order]) -> str:
    order = ask_again(asked.obj)
    return f"Stripe was asked; the order is {order.get_status_display().lower()}."


def refund(asked: Asked[Order]) -> str:
    given = refund_amount(
        asked.obj,
        amount_cents=to_cents(asked.answers["amount"], asked.obj.currency),
        actor=asked.actor,
        reason=asked.reason,
        kind=asked.answers["kind"],
        key=key_of(asked),
    )
    return said_of(given)


def note_of_refund(order: Order) -> str:
    """Say what the customer would owe after a refund of all that is left, and what leaves nothing
    owed.
    """
    if order.status != Order.Status.FULFILLED:
        return "It brought no credits, so nothing would be owed for it."
    rest = order.charged_cents - order.returned_cents
    owed = owed_after(order, rest)
    all_of_it = f"After a refund of all that is left, {money.price(rest, order.currency)}, "
    offer = offer_unused(order)
    unused = money.price(offer.amount_cents if offer else 0, order.currency)
    return (
        f"{all_of_it}the customer would owe {owed:,} credits. Up to {unused}, which is what is "
        "unused, nothing more is owed."
    )


def refund_rest(asked: Asked[Order]) -> str:
    given = refund_unused(asked.obj, actor=asked.actor, reason=asked.reason, key=key_of(asked))
    return said_of(given)


def worth_of(order: Order, amount_cents: int) -> int:
    """Return how many credits so much of an order's money bought, rounded up."""
    return -(-amount_cents * order.credits // max(order.charged_cents, 1))


def unused_cents(order: Order) -> int:
    offer = offer_unused(order)
    return offer.amount_cents if offer else 0


def key_of(asked: Asked[Order]) -> UUID:
    """Return the key of this order's refund from this page, which may act on several orders."""
    return uuid5(asked.answers["once"], str(asked.obj.public_id))


def said_of(given: Refund) -> str:
    amount = money.price(given.amount_cents, given.order.currency)
    return f"{amount} will be refunded as soon as the credits are taken back, within seconds."


def credit(asked: Asked[Order]) -> str:
    order = credit_reviewed(asked.obj, actor=asked.actor, reason=asked.reason)
    return f"{order.credits:,} credits were posted."


def close(asked: Asked[Order]) -> str:
    close_reviewed(asked.obj, actor=asked.actor, reason=asked.reason)
    return "Closed without credits. Refund the payment if it is not ours to keep."


def not_paid(order: Order) -> str:
    if order.status not in PAID or not order.stripe_payment_intent_id:
        return "It was not paid."
    return "" if order.returned_cents < order.charged_cents else "All of it went back already."


def not_in_review(order: Order) -> str:
    return "" if order.status == Order.Status.REVIEW else "It is not in review."


ASK_STRIPE = StaffAction[Order](
    name="ask-stripe",
    label="Ask Stripe again",
    explanation="Reads the payment from Stripe, credits the order if it was paid as agreed, and"
    " books refunds and disputes. An order that was credited before is not credited again.",
    apply=ask_stripe,
    permission="billing.ask_stripe",
    refusal=lambda order: (
        ""
        if order.stripe_session_id or order.is_top_up
        else "Stripe was never asked for a session."
    ),
    # It waits for Stripe, and fulfilment has a transaction of its own.
    is_atomic=False,
)
REFUND = LimitedAction[Order](
    worth=lambda asked: worth_of(asked.obj, to_cents(asked.answers["amount"], asked.obj.currency)),
    name="refund",
    label="Refund an amount",
    explanation="Takes the amount's share of the credits back first, then returns the money through"
    " Stripe. If Stripe refuses, the credits come back and the inbox says so.",
    apply=refund,
    asks_again=True,
    refusal=not_paid,
    form_class=RefundForm,
    get_note=note_of_refund,
)
REFUND_UNUSED = LimitedAction[Order](
    worth=lambda asked: worth_of(asked.obj, unused_cents(asked.obj)),
    name="refund-unused",
    label="Refund what is unused",
    explanation="Returns the money for the credits of this order that are still there, rounded down"
    " to the currency's smallest unit. The customer owes nothing afterwards.",
    apply=refund_rest,
    asks_again=True,
    refusal=lambda order: (
        not_paid(order)
        or ("" if order.status == Order.Status.FULFILLED else "It was not credited.")
    ),
    form_class=RefundUnusedForm,
    get_note=note_of_refund,
)
CREDIT = LimitedAction[Order](
    worth=lambda asked: asked.obj.credits,
    name="credit",
    label="Credit it",
    explanation="Takes the order out of review and credits it as it was ordered, whatever was paid."
    " The reason below closes the finding in the inbox.",
    apply=credit,
    permission="billing.add_ledgerentry",
    asks_again=True,
    refusal=not_in_review,
)
CLOSE = StaffAction[Order](
    name="close",
    label="Close without credits",
    explanation="Takes the order out of review for good and credits nothing. A payment that came in"
    " can be refunded afterwards.",
    apply=close,
    refusal=not_in_review,
)
ACTIONS = (ASK_STRIPE, REFUND, REFUND_UNUSED, CREDIT, CLOSE)
