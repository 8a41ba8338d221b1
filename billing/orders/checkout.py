"""Checkout: an order with a snapshot of its pack, and the Stripe page on which it is paid.

The order is committed before Stripe hears of it, and Stripe is called outside any transaction,
with an idempotency key made from the order. After a crash or time-out anywhere, the customer's next
click or the sweep over open orders continues with the order.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from stripe.params.checkout import (
    SessionCreateParams,
    SessionCreateParamsLineItem,
    SessionCreateParamsLineItemPriceData,
)

from accounts.addresses import lock_user
from accounts.legal import keep_agreement
from accounts.models import Agreement, LegalText, Membership, Team, User
from accounts.teams.addressing import addressing
from accounts.teams.exceptions import TeamClosed
from accounts.teams.members import lock_seat
from accounts.teams.roles import Deed, demand
from billing.catalogue.custom_amounts import quote_again
from billing.catalogue.on_sale import get_pack
from billing.catalogue.pack_prices import get_price, tax_behavior
from billing.catalogue.promotions import lock_given, sell
from billing.customers.at_stripe import with_customer
from billing.exceptions import (
    CurrencyUnproven,
    OfferChanged,
    PackUnavailable,
    PaymentAccessRefused,
    PaymentObjectMissing,
    PaymentProviderRefusal,
    TooManyOrders,
)
from billing.ledger.inbox import file_item
from billing.ledger.wallets import get_wallet
from billing.models import Order, Pack
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.snapshots import Snapshot, describe, of_pack, of_quote
from billing.stripe_api import (
    ORDER_KEY,
    Checkout,
    create_checkout,
    expire_checkout,
    read_checkout,
)
from billing.stripe_api.locales import locale_of
from common.attempts import WINDOW_S
from common.client_networks import client_network
from common.locks import lock_names

# An open order is offered again while the customer still has this long to pay it.
LEAST_TIME_TO_PAY = timedelta(minutes=10)
# A young order without a session belongs to a double click. An older one failed at Stripe, which
# keeps answering a key with its first error, so a later click gets a new order and key.
SESSION_PATIENCE = timedelta(minutes=1)

log = structlog.get_logger(__name__)


def start_checkout(
    seat: Membership,
    *,
    pack_slug: str,
    currency: str = "",
    shown_credits: int | None = None,
    address: str = "",
    language: str = "",
    agreed: Sequence[LegalText] = (),
) -> Order:
    """Return an order of this pack whose `stripe_session_url` is ready to be paid.

    The price is in the pack's own currency unless another of its currencies is named. A page says
    how many credits were `shown_credits` when it was posted. `address` is
    the IP address of the customer's browser, for the limit on orders that nobody pays; `language`
    is that of the payment page. That the buyer `agreed` to legal texts is kept with the order.

    An order of the same pack at the same price that can still be paid is returned instead of a
    new one, so that a double click or the browser's back button makes no second order. Raises
    NotAllowed, PackUnavailable, OfferChanged, TooManyOrders, PaymentProviderError. After a
    PaymentProviderError the order stays open if Stripe may have created the session, and the sweep
    asks again with the same key.
    """
    demand(seat, Deed.BUY)
    pack = get_pack(pack_slug)
    try:
        price = get_price(pack, currency)
    except CurrencyUnproven as refusal:
        _report_unproven(pack, currency or pack.currency, str(refusal))
        raise
    sold = sell(pack)
    if shown_credits not in {None, sold.credits}:
        raise OfferChanged("The pack gives another number of credits than it did.")
    return _start(seat, of_pack(sold, price), address=address, language=language, agreed=agreed)


def start_amount_checkout(
    seat: Membership,
    *,
    mark: str,
    address: str = "",
    language: str = "",
    agreed: Sequence[LegalText] = (),
) -> Order:
    """Return an order of an amount that the customer chose, on the terms of the quote's `mark`.

    Otherwise as `start_checkout`. Raises OfferChanged if the quote holds no more, AmountRefused.
    """
    demand(seat, Deed.BUY)
    snapshot = of_quote(quote_again(mark))
    return _start(seat, snapshot, address=address, language=language, agreed=agreed)


def _start(
    seat: Membership,
    snapshot: Snapshot,
    *,
    address: str,
    language: str,
    agreed: Sequence[LegalText],
) -> Order:
    place = partial(
        _place,
        seat,
        snapshot,
        network=client_network(address),
        language=language,
        agreed=agreed,
    )
    order = place(is_new=False)
    if order.stripe_session_id and not _is_payable(order.stripe_session_id):
        order = place(is_new=True)
    return order if order.stripe_session_id else open_session(order)


def open_session(order: Order) -> Order:
    """Create the Checkout Session of an order that has none yet. Safe to repeat and to race.

    If Stripe refuses, the order is failed. If we can't know whether Stripe created the session,
    the order stays open; nobody was given the session's address, so nobody can have paid it.
    """
    try:
        checkout = with_customer(get_wallet(order.team), partial(_ask_for_session, order))
    except PaymentProviderRefusal as refusal:
        Order.objects.filter(pk=order.pk, status=Order.Status.OPEN, stripe_session_id=None).update(
            status=Order.Status.FAILED
        )
        _report_refusal(order, str(refusal.__cause__ or refusal))
        raise
    Order.objects.filter(pk=order.pk, stripe_session_id=None).update(
        stripe_session_id=checkout.session_id, stripe_session_url=checkout.session_url
    )
    order.refresh_from_db()
    return order


def end_payment_pages(team: Team) -> None:
    """End the pages on which a team's open orders can be paid. Safe to repeat.

    What was paid by then is booked. Raises PaymentProviderError.
    """
    pages = Order.objects.filter(team=team, channel=Order.Channel.CHECKOUT)
    for order in pages.filter(status=Order.Status.OPEN).order_by("pk"):
        if order.stripe_session_id is None or not _end_page(order.stripe_session_id):
            Order.objects.filter(pk=order.pk, status=Order.Status.OPEN).update(
                status=Order.Status.EXPIRED
            )


def _end_page(session_id: str) -> bool:
    """End one page and book what became of it. False if it is in another Stripe account."""
    try:
        try:
            expire_checkout(session_id)
        except (PaymentAccessRefused, PaymentObjectMissing):
            raise
        except PaymentProviderRefusal:
            log.info("payment_page_has_ended", session_id=session_id)
        fulfil_checkout(session_id)
    except PaymentObjectMissing:
        return False
    return True


def _ask_for_session(order: Order, customer_id: str) -> Checkout:
    # Another customer makes another request, which needs a key of its own.
    return create_checkout(
        _session_params(order, customer_id),
        idempotency_key=f"checkout-{order.public_id}-{customer_id}",
    )


def _report_refusal(order: Order, words: str) -> None:
    """Report a pack that nobody can buy, once a day: it is rarely the customer's fault."""
    file_item(
        kind="checkout_refused",
        reference=f"{order.pack_id}:{order.currency}:{timezone.now():%Y-%m-%d}",
        summary=f"Stripe refuses to sell {order.pack_name}: {words}",
        detail={"order_id": str(order.public_id)},
    )


def _report_unproven(pack: Pack, currency: str, words: str) -> None:
    """Report, once, a stored price that can't be sold."""
    file_item(
        kind="currency_unproven",
        reference=f"{pack.pk}:{currency}",
        summary=f"A customer could not buy {pack.name} in {currency}. {words}",
    )


@transaction.atomic
def _place(
    seat: Membership,
    snapshot: Snapshot,
    *,
    network: str | None,
    language: str,
    agreed: Sequence[LegalText],
    is_new: bool,
) -> Order:
    """Return the member's open order on these terms, or a new one. One call at a time per user."""
    try:
        seat = lock_seat(seat, Deed.BUY)
    except TeamClosed as refusal:
        raise PackUnavailable("Nothing is sold to a team that is closed.") from refusal
    user = lock_user(seat.user)
    found = None if is_new else _find_open_order(seat, snapshot)
    if found is None:
        _check_order_rate(user, network)
        found = _create_order(seat.team, user, snapshot, network=network, language=language)
    keep_agreement(user, agreed, Agreement.Occasion.PURCHASE, str(found.public_id))
    return found


def _create_order(
    team: Team, user: User, snapshot: Snapshot, *, network: str | None, language: str
) -> Order:
    now = timezone.now()
    lock_given(snapshot["promotion"], at=now)
    return Order.objects.create(
        team=team,
        buyer=user,
        **snapshot,
        client_address=network,
        language=language,
        created_at=now,
        expires_at=now + timedelta(minutes=settings.CHECKOUT_LIFETIME_MINUTES),
        # A customer rarely pays within a minute.
        next_check_at=now + timedelta(minutes=1),
    )


def _find_open_order(seat: Membership, snapshot: Snapshot) -> Order | None:
    """Return the newest order on today's terms that could still be paid."""
    now = timezone.now()
    return (
        Order.objects.filter(
            ~Q(stripe_session_id=None) | Q(created_at__gt=now - SESSION_PATIENCE),
            team=seat.team,
            buyer=seat.user,
            channel=Order.Channel.CHECKOUT,
            status=Order.Status.OPEN,
            expires_at__gt=now + LEAST_TIME_TO_PAY,
            **snapshot,
        )
        .order_by("-pk")
        .first()
    )


def _check_order_rate(user: User, network: str | None) -> None:
    """Raise TooManyOrders if a user or a network has too many orders in the last hour, unpaid or
    paid.
    """
    lately = Order.objects.filter(
        channel=Order.Channel.CHECKOUT,
        created_at__gt=timezone.now() - timedelta(seconds=WINDOW_S),
    )
    paid = lately.exclude(fulfilled_at=None)
    unpaid = lately.filter(fulfilled_at=None).exclude(
        # The customer has finished a pending order; without a session no card can be tried out.
        Q(status=Order.Status.PENDING)
        | Q(stripe_session_id=None, status__in=(Order.Status.FAILED, Order.Status.EXPIRED))
    )
    if unpaid.filter(buyer=user).count() >= settings.UNPAID_ORDERS_PER_USER:
        raise TooManyOrders("You started too many orders within an hour and paid none of them.")
    if paid.filter(buyer=user).count() >= settings.PAID_ORDERS_PER_USER:
        raise TooManyOrders("You paid too many orders within an hour.")
    if network is None:
        return
    # The user's lock does not cover the orders of other users on this network.
    lock_names(f"orders from {network}")
    if unpaid.filter(client_address=network).count() >= settings.UNPAID_ORDERS_PER_ADDRESS:
        raise TooManyOrders("Too many orders from your network were not paid within an hour.")
    if paid.filter(client_address=network).count() >= settings.PAID_ORDERS_PER_ADDRESS:
        raise TooManyOrders("Too many orders from your network were paid within an hour.")


def _is_payable(session_id: str) -> bool:
    """Tell whether a session can still be paid; if not, book what became of it."""
    try:
        if read_checkout(session_id).is_open:
            return True
        fulfil_checkout(session_id)
    except PaymentObjectMissing:
        # The session was made with the key of another Stripe account.
        return False
    return False


def _session_params(order: Order, customer_id: str) -> SessionCreateParams:
    """Return the session's parameters: always the same for these two, because the key is.

    Company, address, tax id and, if the customer likes, the card are kept for the next purchase.
    """
    order_id = str(order.public_id)
    with addressing(order.team, order.buyer):
        return_path = reverse("checkout-return")
        cancel_path = reverse("checkout-cancel", args=[order.public_id])
    params: SessionCreateParams = {
        "mode": "payment",
        "client_reference_id": order_id,
        "metadata": {ORDER_KEY: order_id},
        "payment_intent_data": {"metadata": {ORDER_KEY: order_id}},
        "customer": customer_id,
        "customer_update": {"name": "auto", "address": "auto"},
        "saved_payment_method_options": {"payment_method_save": "enabled"},
        "line_items": [_line_item(order)],
        # Stripe puts the session's id in place of the braces.
        "success_url": (f"{settings.SITE_URL}{return_path}?session_id={{CHECKOUT_SESSION_ID}}"),
        "cancel_url": f"{settings.SITE_URL}{cancel_path}",
        "expires_at": int(order.expires_at.timestamp()),
    }
    if order.language:
        params["locale"] = locale_of(order.language)
    if settings.STRIPE_PROMOTION_CODES:
        params["allow_promotion_codes"] = True
    if settings.STRIPE_AUTOMATIC_TAX:
        params["automatic_tax"] = {"enabled": True}
    if settings.STRIPE_AUTOMATIC_TAX or settings.STRIPE_INVOICES:
        params["tax_id_collection"] = {"enabled": True}
    if settings.STRIPE_INVOICES:
        # Without an address it is no invoice that a company can book.
        params["billing_address_collection"] = "required"
        params["invoice_creation"] = {
            "enabled": True,
            "invoice_data": {"metadata": {ORDER_KEY: order_id}},
        }
    if settings.STRIPE_RECEIPT_MAIL:
        params["payment_intent_data"]["receipt_email"] = order.buyer.email
    return params


def _line_item(order: Order) -> SessionCreateParamsLineItem:
    """Return the order's price in Stripe's catalogue, or its amount if it has none there."""
    if order.stripe_price_id:
        return {"quantity": 1, "price": order.stripe_price_id}
    price_data: SessionCreateParamsLineItemPriceData = {
        "currency": order.currency,
        "unit_amount": order.amount_cents,
        "product_data": {
            "name": order.pack_name,
            "description": describe(order.credits, order.bonus_credits),
        },
    }
    behavior = tax_behavior()
    if behavior:
        price_data["tax_behavior"] = behavior
    return {"quantity": 1, "price_data": price_data}
