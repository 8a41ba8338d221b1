"""The saved card of an automatic top-up: saved on Stripe's page, shown by its label, removed.

Only the id of a set-up session is taken from a caller: the card that it saved is read from Stripe.
Only the session that was started last counts, so a repeated or late event changes nothing.
"""

from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import get_language, gettext

from accounts.models import Membership, Team, User
from accounts.teams.addressing import addressing
from accounts.teams.roles import Deed, demand
from billing.customers.at_stripe import find_customer_id, forget_customer, with_customer
from billing.exceptions import (
    PaymentAccessRefused,
    PaymentObjectMissing,
    PaymentProviderError,
    PaymentProviderRefusal,
    TooManyCards,
    TopUpRefused,
)
from billing.ledger.wallets import wallet_of
from billing.models import AutoTopUp
from billing.stripe_api import SESSION_ID, expire_checkout
from billing.stripe_api.saved_cards import (
    CHARGEABLE,
    Setup,
    create_setup,
    detach_cards,
    read_setup,
)
from billing.top_ups.agreement import get_top_up, is_offered, lock_top_up
from billing.top_ups.switch import OffReason, State, switch_off, switch_off_at_wish
from common.attempts import count_attempt
from common.client_networks import client_network

log = structlog.get_logger(__name__)


def start_setup(seat: Membership, *, address: str = "") -> str:
    """Return the URL of Stripe's page on which the customer saves a card.

    `address` is the IP address of the browser. Raises TopUpRefused before there is a consent,
    TooManyCards, NotAllowed, PaymentProviderError.
    """
    demand(seat, Deed.TOP_UP)
    top_up = get_top_up(seat.team)
    if not is_offered() or top_up.consent_id is None:
        raise TopUpRefused(gettext("Choose what is bought before you save a card."))
    _check_rate(seat.user, client_network(address))
    with addressing(seat.team, seat.user):
        page = f"{settings.SITE_URL}{reverse('dashboard-top-up')}"
        saved = f"{settings.SITE_URL}{reverse('dashboard-top-up-saved')}"
    create = partial(
        create_setup,
        currency=top_up.currency,
        top_up_id=str(top_up.public_id),
        # Stripe puts the session's id in place of the braces.
        success_url=f"{saved}?session_id={{CHECKOUT_SESSION_ID}}",
        cancel_url=page,
        language=get_language() or "",
    )
    setup = with_customer(top_up.wallet, lambda customer_id: create(customer_id=customer_id))
    AutoTopUp.objects.filter(pk=top_up.pk).update(stripe_setup_session_id=setup.session_id)
    return setup.url


def finish_setup(session_id: str) -> bool:
    """Use the card that a set-up session saved, and switch on a top-up that waited for it.

    False if the session saved no card, is not ours, or a later one was started. Safe to repeat and
    to run at once. Raises PaymentProviderError.
    """
    if not SESSION_ID.fullmatch(session_id):
        return False
    known = AutoTopUp.objects.filter(stripe_setup_session_id=session_id).first()
    if known is None:
        return False
    setup = read_setup(session_id)
    if not _is_ours(known, setup) or not _take_up(known, setup):
        return False
    _forget_others(setup.customer_id, keep=setup.payment_method_id)
    return True


def remove_card(team: Team, *, by: User | None = None) -> None:
    """Switch off, and have Stripe forget every saved card. Safe to repeat.

    Raises PaymentProviderError: the top-up is then off, and the card may still be saved.
    """
    top_up = get_top_up(team)
    switch_off_at_wish(top_up, by=by)
    AutoTopUp.objects.filter(pk=top_up.pk).update(stripe_setup_session_id="")
    removed = [top_up.stripe_payment_method_id]
    # The card's, and the one of today.
    for customer_id in {top_up.stripe_customer_id, find_customer_id(top_up.wallet)} - {""}:
        removed += _detach_all(customer_id)
    _forget_card(top_up.pk, removed)


def end_setup(top_up: AutoTopUp) -> None:
    """End the page on which a card could still be saved, if there is one. Safe to repeat.

    Raises PaymentProviderError.
    """
    if top_up.stripe_setup_session_id:
        try:
            expire_checkout(top_up.stripe_setup_session_id)
        except PaymentAccessRefused:
            raise
        except PaymentProviderRefusal:
            log.info("setup_page_has_ended", session_id=top_up.stripe_setup_session_id)


def disown_cards(user: User) -> None:
    """Switch off, and forget the card and the Customer that somebody else may have made.

    Asks Stripe nothing: what is forgotten is never charged, and the next Checkout makes a Customer
    anew. Call it with the wallet locked.
    """
    wallet = wallet_of(user)
    for top_up in AutoTopUp.objects.filter(wallet=wallet):
        switch_off(top_up, OffReason.CUSTOMER)
        AutoTopUp.objects.filter(pk=top_up.pk).update(
            stripe_customer_id="",
            stripe_payment_method_id="",
            stripe_setup_session_id="",
            card_label="",
        )
    if customer_id := find_customer_id(wallet):
        forget_customer(customer_id)


def _detach_all(customer_id: str) -> list[str]:
    try:
        return detach_cards(customer_id)
    except PaymentObjectMissing:
        # Deleted at Stripe, and its cards with it.
        forget_customer(customer_id)
        return []


@transaction.atomic
def _forget_card(pk: int, removed: list[str]) -> None:
    """Forget a card that was removed; switch off if another window switched on in between."""
    top_up = lock_top_up(pk)
    if top_up.stripe_payment_method_id in removed:
        switch_off(top_up, OffReason.CUSTOMER)
        AutoTopUp.objects.filter(pk=pk).update(stripe_payment_method_id="", card_label="")


def _check_rate(user: User, network: str | None) -> None:
    """Count a page for saving a card. Raises TooManyCards after too many of a user or a network.

    The limits are those of orders that nobody pays, for the same reason: stolen cards are tried
    out there.
    """
    counters = {f"card-set-ups:user:{user.pk}": settings.UNPAID_ORDERS_PER_USER}
    if network is not None:
        counters[f"card-set-ups:network:{network}"] = settings.UNPAID_ORDERS_PER_ADDRESS
    for key, most in counters.items():
        if count_attempt(key) > most:
            raise TooManyCards(gettext("Too many cards were tried within an hour."))


def _is_ours(top_up: AutoTopUp, setup: Setup) -> bool:
    return (
        setup.is_complete
        and setup.is_live == settings.STRIPE_LIVE_MODE
        and setup.top_up_id == str(top_up.public_id)
        and setup.customer_id == find_customer_id(top_up.wallet)
        and setup.method_type in CHARGEABLE
    )


@transaction.atomic(durable=True)
def _take_up(known: AutoTopUp, setup: Setup) -> bool:
    top_up = lock_top_up(known.pk)
    if top_up.stripe_setup_session_id != setup.session_id:
        return False
    top_up.stripe_setup_session_id = ""
    top_up.stripe_customer_id = setup.customer_id
    top_up.stripe_payment_method_id = setup.payment_method_id
    top_up.card_label = setup.label
    if top_up.state == State.WAITING:
        top_up.state = State.ON
    top_up.save()
    return True


def _forget_others(customer_id: str, *, keep: str) -> None:
    """Detach the replaced cards. One that stays is not used, and is detached the next time.

    A card that the customer had Checkout keep for the next purchase stays.
    """
    try:
        detach_cards(customer_id, keep=keep, spare_shown=True)
    except PaymentProviderError:
        log.warning("old_card_not_detached", stripe_customer_id=customer_id)
