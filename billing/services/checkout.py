"""Checkout: an order with a snapshot of its pack, and the Stripe page on which it is paid.

The order is committed before Stripe hears of it, and Stripe is called outside any transaction,
with an idempotency key made from the order. So a crash or time-out anywhere leaves an order that
can be taken up again: by the customer's next click, or by the sweep over open orders.
"""

import re
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from stripe.params.checkout import SessionCreateParams

from accounts.models import User
from billing.exceptions import (
    PackUnavailable,
    PaymentObjectMissing,
    PaymentProviderRefusal,
    TooManyOrders,
)
from billing.models import Pack, Purchase
from billing.services.fulfilment import fulfil_purchase
from billing.stripe_api import ORDER_KEY, create_checkout, read_checkout

SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")
# An open order is offered again while the customer still has this long to pay it.
LEAST_TIME_TO_PAY = timedelta(minutes=10)
# An order without a session is a double click's, or one that Stripe has trouble with: Stripe keeps
# answering a key with the error that it first gave, so a later click gets a new order and key.
SESSION_PATIENCE = timedelta(minutes=1)
# Whoever tries out stolen cards needs many orders; a customer needs a few.
MAX_UNPAID_ORDERS_PER_HOUR = 20


def start_checkout(user: User, *, pack_slug: str) -> Purchase:
    """Return an order of this pack whose `stripe_session_url` is ready to be paid.

    An order of the same pack at the same price that can still be paid is returned instead of a
    new one, so that a double click or a way back makes no second. Raises PackUnavailable,
    TooManyOrders, and PaymentProviderError. After the last one the order stays open if Stripe may
    have created the session, and the sweep asks again with the same key.
    """
    pack = get_pack(pack_slug)
    purchase = _order_pack(user, pack, is_new=False)
    if purchase.stripe_session_id and not _is_payable(purchase.stripe_session_id):
        purchase = _order_pack(user, pack, is_new=True)
    return purchase if purchase.stripe_session_id else open_session(purchase)


def get_pack(slug: str) -> Pack:
    """Return the pack on sale under this slug. Raises PackUnavailable."""
    pack = SLUG.fullmatch(slug) and Pack.objects.filter(slug=slug, is_active=True).first()
    if not pack:
        raise PackUnavailable("This pack is not on sale.")
    return pack


def open_session(purchase: Purchase) -> Purchase:
    """Create the Checkout Session of an order that has none yet. Safe to repeat and to race.

    If Stripe refuses, the order is failed. If it can't be told whether Stripe created the session,
    the order stays open; nobody was given the session's address, so nobody can have paid it.
    """
    try:
        checkout = create_checkout(
            _session_params(purchase), idempotency_key=f"checkout-{purchase.public_id}"
        )
    except PaymentProviderRefusal:
        Purchase.objects.filter(
            pk=purchase.pk, status=Purchase.Status.OPEN, stripe_session_id=None
        ).update(status=Purchase.Status.FAILED)
        raise
    Purchase.objects.filter(pk=purchase.pk, stripe_session_id=None).update(
        stripe_session_id=checkout.session_id, stripe_session_url=checkout.url
    )
    purchase.refresh_from_db()
    return purchase


@transaction.atomic
def _order_pack(user: User, pack: Pack, *, is_new: bool) -> Purchase:
    """Return the user's open order of this pack, or a new one. One at a time per user."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    found = None if is_new else _find_open_order(user, pack)
    if found is not None:
        return found
    _check_order_rate(user)
    now = timezone.now()
    return Purchase.objects.create(
        user=user,
        pack=pack,
        **_snapshot(pack),
        created_at=now,
        expires_at=now + timedelta(minutes=settings.CHECKOUT_LIFETIME_MINUTES),
        # The first look of the sweep; a customer rarely pays within a minute.
        next_check_at=now + timedelta(minutes=1),
    )


def _snapshot(pack: Pack) -> dict[str, Any]:
    """Return what is agreed now, whatever becomes of the pack."""
    return {
        "pack_name": pack.name,
        "credits": pack.credits,
        "amount_cents": pack.price_cents,
        "currency": pack.currency,
        "validity_days": pack.validity_days,
    }


def _find_open_order(user: User, pack: Pack) -> Purchase | None:
    """Return the newest order that could still be paid, on the terms that hold today."""
    now = timezone.now()
    return (
        Purchase.objects.filter(
            ~Q(stripe_session_id=None) | Q(created_at__gt=now - SESSION_PATIENCE),
            user=user,
            pack=pack,
            status=Purchase.Status.OPEN,
            expires_at__gt=now + LEAST_TIME_TO_PAY,
            **_snapshot(pack),
        )
        .order_by("-pk")
        .first()
    )


def _check_order_rate(user: User) -> None:
    unpaid = Purchase.objects.filter(
        user=user, fulfilled_at=None, created_at__gt=timezone.now() - timedelta(hours=1)
    ).count()
    if unpaid >= MAX_UNPAID_ORDERS_PER_HOUR:
        raise TooManyOrders(
            f"You started {unpaid} orders within an hour and paid none of them. "
            "Please try again later."
        )


def _is_payable(session_id: str) -> bool:
    """Tell whether a session still waits for its customer; book what became of it if not."""
    try:
        if read_checkout(session_id).is_open:
            return True
        fulfil_purchase(session_id)
    except PaymentObjectMissing:
        # It was made with another account's key.
        return False
    return False


def _session_params(purchase: Purchase) -> SessionCreateParams:
    """Return the session's parameters: the same for the same order, as its idempotency key asks."""
    order_id = str(purchase.public_id)
    cancel_path = reverse("checkout-cancel", args=[purchase.public_id])
    return {
        "mode": "payment",
        "client_reference_id": order_id,
        "metadata": {ORDER_KEY: order_id},
        "payment_intent_data": {"metadata": {ORDER_KEY: order_id}},
        "customer_email": purchase.user.email,
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": purchase.currency,
                    "unit_amount": purchase.amount_cents,
                    "product_data": {
                        "name": purchase.pack_name,
                        "description": f"{purchase.credits:,} tokens",
                    },
                },
            }
        ],
        # Stripe puts the session's id in place of the braces.
        "success_url": (
            f"{settings.SITE_URL}{reverse('checkout-return')}?session_id={{CHECKOUT_SESSION_ID}}"
        ),
        "cancel_url": f"{settings.SITE_URL}{cancel_path}",
        "expires_at": int(purchase.expires_at.timestamp()),
    }
