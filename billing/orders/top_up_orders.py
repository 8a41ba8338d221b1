"""Top-ups: a wallet whose balance fell below the level gets an order, and Stripe is asked for it.

The order is committed before Stripe hears of it, together with the request, and its id is the
idempotency key. So after a time-out or a crash the same request is sent again, and charged once.
Stripe forgets a key after a day: an older order's payment is looked for, never asked for again.

The posted balance counts. Credits that running requests hold don't cause a top-up.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import Team
from accounts.teams.roles import ALLOWED, Deed
from billing.catalogue.pack_prices import Price
from billing.catalogue.promotions import lock_given, sell
from billing.exceptions import (
    OfferChanged,
    PackUnavailable,
    PaymentAccessRefused,
    PaymentObjectMissing,
    PaymentProviderError,
    PaymentProviderRefusal,
)
from billing.ledger.credits import lock_wallet
from billing.ledger.inbox import file_item
from billing.models import AutoTopUp, Order, Pack, TopUpPayment, Wallet
from billing.orders.snapshots import describe, of_pack
from billing.orders.top_up_payments import fulfil_top_up, refuse_top_up
from billing.stripe_api import ORDER_KEY
from billing.stripe_api.card_payments import (
    CHANNEL_KEY,
    cancel_payment,
    create_payment,
    find_payment,
)
from billing.stripe_api.saved_cards import CHARGEABLE
from billing.top_ups.agreement import agreed_price, has_room, is_offered, lock_top_up
from billing.top_ups.notices import notify_top_up_off
from billing.top_ups.switch import (
    OffReason,
    switch_off,
    switch_off_for_fault,
    switch_off_for_review,
)
from common.currencies import is_unproven

BATCH = 50
# Stripe keeps an idempotency key for at least a day.
# https://docs.stripe.com/api/idempotent_requests
KEY_LIFETIME = timedelta(hours=23)
# No fault of one top-up: the next one would meet it, too.
DATABASE_AWAY = (OperationalError, InterfaceError)

log = structlog.get_logger(__name__)


def top_up_due(*, most: int = BATCH) -> int:
    """Top up the wallets that need it, and return how many orders were made.

    Safe to repeat and to run at once. Stops when Stripe does not answer; the orders stay open, and
    the sweep over open orders continues with them. What nobody expected switches off the top-up
    that it befalls, and the others go on.
    """
    started = 0
    for top_up in due_top_ups()[:most]:
        order = _order_or_end(top_up)
        if order is None:
            continue
        started += 1
        try:
            advance_top_up(order)
        except PaymentProviderRefusal:
            log.warning("top_up_refused", order_id=order.pk)
        except PaymentProviderError:
            break
        except DATABASE_AWAY:
            raise
        except Exception:
            # It has switched its top-up off by now.
            log.exception("top_up_failed", order_id=order.pk)
    return started


def due_top_ups() -> QuerySet[AutoTopUp]:
    """Return the top-ups whose wallet is below its level, may be charged, and has no open one."""
    is_open = Order.objects.filter(
        team=OuterRef("wallet__team"),
        channel=Order.Channel.TOP_UP,
        status__in=Order.UNPAID,
    )
    return AutoTopUp.objects.filter(
        Q(paused_until=None) | Q(paused_until__lte=timezone.now()),
        ~Exists(is_open),
        state=AutoTopUp.State.ON,
        # Where nobody can log in, nobody can switch it off.
        wallet__team__in=_teams_with_a_buyer(),
        wallet__state=Wallet.State.ACTIVE,
        wallet__debt_credits=0,
        wallet__posted_credits__lt=F("threshold_credits"),
    ).order_by("pk")


def _teams_with_a_buyer() -> QuerySet[Team]:
    """Return the open teams in which somebody who may switch a top-up off can log in."""
    return Team.objects.filter(
        closed_at=None,
        memberships__role__in=ALLOWED[Deed.TOP_UP],
        memberships__user__is_active=True,
    )


def has_due_top_ups() -> bool:
    """Tell whether a wallet is due. Cheap: few are switched on and below their level."""
    return due_top_ups().exists()


def advance_top_up(order: Order) -> Order:
    """Find out what became of an open top-up, and ask Stripe to charge it if that was not done.

    Safe to repeat and to run at once. Raises PaymentProviderError; the order then stays open,
    unless Stripe refused the charge, which fails it. What nobody expected switches the top-up off,
    and is raised.
    """
    try:
        intent_id = order.stripe_payment_intent_id or _find_or_ask(order)
        if intent_id:
            return _fulfil_or_end(intent_id)
    except PaymentObjectMissing:
        # Payment, card or customer are gone at Stripe, or are in another account than our key's.
        if not _is_overdue(order):
            raise
    except (PaymentProviderError, *DATABASE_AWAY):
        raise
    except Exception as error:
        top_up = AutoTopUp.objects.get(wallet__team=order.team_id)
        _end_for_fault(top_up, reference=str(order.public_id), error=error)
        raise
    _expire(order)
    order.refresh_from_db()
    return order


def _fulfil_or_end(intent_id: str) -> Order:
    found = fulfil_top_up(intent_id)
    if found.status == Order.Status.OPEN and _is_overdue(found):
        # The payment waits for a step that nobody will take.
        cancel_payment(intent_id)
        found = fulfil_top_up(intent_id)
    return found


def _order_or_end(top_up: AutoTopUp) -> Order | None:
    """Make a top-up's order, as `_order` says; what nobody expected switches the top-up off."""
    try:
        return _order(top_up)
    except DATABASE_AWAY:
        raise
    except OfferChanged:
        # A promotion was changed at this instant: the next sweep orders what the pack gives then.
        return None
    except Exception as error:
        log.exception("top_up_not_ordered", top_up_id=top_up.pk)
        _end_for_fault(top_up, reference=f"top-up:{top_up.pk}:{top_up.consent_id}", error=error)
        return None


@transaction.atomic(durable=True)
def _order(known: AutoTopUp) -> Order | None:
    """Make the order of a top-up that is still due, under the wallet's lock and its own."""
    # Every transaction that takes both locks takes the wallet's first.
    wallet = lock_wallet(known.wallet_id)
    top_up = lock_top_up(known.pk)
    if not is_offered() or not due_top_ups().filter(pk=top_up.pk).exists():
        return None
    uncredited = _find_uncredited(top_up)
    if uncredited is not None:
        switch_off_for_review(uncredited)
        return None
    try:
        price = agreed_price(top_up)
    except PackUnavailable as refusal:
        if switch_off(top_up, OffReason.TERMS, detail=str(refusal)):
            notify_top_up_off(top_up, reason=OffReason.TERMS)
        return None
    if not has_room(top_up, price):
        AutoTopUp.objects.filter(pk=top_up.pk).update(paused_until=_next_month())
        return None
    assert top_up.pack is not None  # noqa: S101 - `agreed_price` has looked
    return _create_order(top_up, wallet, top_up.pack, price)


def _find_uncredited(top_up: AutoTopUp) -> Order | None:
    """Return an order that was charged since the consent and brought no credits.

    It has switched the top-up off, unless that was done by a version that did not do so yet.
    """
    assert top_up.consent is not None  # noqa: S101 - one that is on has a consent
    return Order.objects.filter(
        team=top_up.wallet.team_id,
        channel=Order.Channel.TOP_UP,
        status__in=(Order.Status.REVIEW, Order.Status.CLOSED),
        created_at__gte=top_up.consent.given_at,
    ).first()


def _create_order(top_up: AutoTopUp, wallet: Wallet, pack: Pack, price: Price) -> Order:
    assert top_up.consent is not None  # noqa: S101 - one that is on has a consent
    buyer, now = top_up.consent.given_by, timezone.now()
    # A payment with a saved card names no Price of Stripe's catalogue.
    snapshot = of_pack(sell(pack), replace(price, stripe_price_id=""))
    lock_given(snapshot["promotion"], at=now)
    order = Order.objects.create(
        team=wallet.team,
        buyer=buyer,
        channel=Order.Channel.TOP_UP,
        **snapshot,
        created_at=now,
        expires_at=now + KEY_LIFETIME,
        next_check_at=now + timedelta(minutes=1),
    )
    TopUpPayment.objects.create(order=order, request=_request(top_up, order))
    return order


def _request(top_up: AutoTopUp, order: Order) -> dict[str, Any]:
    """Return the parameters of the PaymentIntent."""
    request: dict[str, Any] = {
        "amount": order.amount_cents,
        "currency": order.currency,
        "customer": top_up.stripe_customer_id,
        "payment_method": top_up.stripe_payment_method_id,
        "confirm": True,
        "off_session": True,
        "allowed_payment_method_types": CHARGEABLE,
        "description": f"{order.pack_name}: {describe(order.credits, order.bonus_credits)}",
        "metadata": {ORDER_KEY: str(order.public_id), CHANNEL_KEY: order.channel},
    }
    if settings.STRIPE_RECEIPT_MAIL:
        request["receipt_email"] = order.buyer.email
    return request


def _find_or_ask(order: Order) -> str | None:
    """Return the order's PaymentIntent; None if there is none and we may not ask for it."""
    asked = order.top_up_payment
    if not _may_ask(order, asked):
        return find_payment(asked.stripe_customer_id, order_id=str(order.public_id))
    try:
        intent_id = create_payment(asked.request, idempotency_key=f"top-up-{order.public_id}")
    except PaymentAccessRefused as refusal:
        # Our key is at fault, not the customer, so it stays on.
        file_item(
            kind="top_up_refused",
            reference=str(order.public_id),
            summary=f"Stripe refuses to charge a top-up: {refusal.__cause__ or refusal}",
        )
        raise
    except PaymentProviderRefusal as refusal:
        # Nothing was charged, and the same would be refused again.
        refuse_top_up(order, refusal)
        raise
    # Saved, so that it pays this order whatever its metadata say: without them it would look like a
    # stranger's payment, and the order as if it had never been charged.
    Order.objects.filter(pk=order.pk, status__in=Order.UNPAID).update(
        stripe_payment_intent_id=intent_id
    )
    return intent_id


def _may_ask(order: Order, asked: TopUpPayment) -> bool:
    """Tell whether the customer still wants it and Stripe still knows the idempotency key."""
    return (
        not _is_overdue(order)
        and not is_unproven(order.currency)
        and is_offered()
        and AutoTopUp.objects.filter(
            state=AutoTopUp.State.ON,
            stripe_payment_method_id=asked.stripe_payment_method_id,
            wallet__team=order.team_id,
            wallet__team__in=_teams_with_a_buyer(),
            wallet__state=Wallet.State.ACTIVE,
            wallet__debt_credits=0,
        ).exists()
    )


@transaction.atomic(durable=True)
def _end_for_fault(top_up: AutoTopUp, *, reference: str, error: Exception) -> None:
    """Switch off, notify and tell a person of what nobody expected. Its order, if any, stays open:
    the sweep looks for its payment, and asks for none.
    """
    text = f"{type(error).__name__}: {error}"
    switch_off_for_fault(top_up, detail=text)
    file_item(
        kind="top_up_fault",
        reference=reference,
        summary=f"A top-up of {top_up.wallet.team} met an error and is off: {text}",
    )


def _expire(order: Order) -> None:
    """Give up an order that will not be paid. A late payment would still be credited."""
    Order.objects.filter(pk=order.pk, status__in=Order.UNPAID).update(status=Order.Status.EXPIRED)


def _is_overdue(order: Order) -> bool:
    return order.expires_at <= timezone.now()


def _next_month() -> datetime:
    start = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (start + timedelta(days=32)).replace(day=1)
