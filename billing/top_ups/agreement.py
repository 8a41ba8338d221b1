"""Automatic top-up: what a customer agrees to, changes and switches off.

Nobody is charged without a stored consent: its words, its terms, when and from where it was given.
Each change of the terms needs a new consent. Top-up is always switched off with a reason, and only
the customer switches it on again.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Sum, When
from django.utils import timezone
from django.utils.translation import get_language, gettext, gettext_noop

from accounts.models import Membership, Team, User
from accounts.teams.events import Action, note
from accounts.teams.members import lock_seat
from accounts.teams.roles import Deed, demand
from billing.catalogue.on_sale import get_pack
from billing.catalogue.pack_prices import Price, get_price
from billing.exceptions import MissingReason, PackUnavailable, TooManyCards, TopUpRefused
from billing.ledger.wallets import get_wallet
from billing.models import AutoTopUp, Order, Pack, TopUpConsent, Wallet
from billing.top_ups.notices import notify_top_up_off
from billing.top_ups.switch import OffReason, State, switch_off, switch_off_at_wish
from common import money
from common.attempts import WINDOW_S
from common.client_networks import client_network

# Changed whenever the words change in any language, because each consent names their version.
CONSENT_VERSION = "2026-11-22"
CONSENT_TEXT = gettext_noop(
    "I allow {site} to charge my saved payment method without asking me each time: the price of the"
    " pack chosen above, whenever my balance falls below the level chosen above, and in one"
    " calendar month (UTC) no more than the limit chosen above. If the price rises or the pack"
    " gets smaller, this ends. I can switch it off at any time on this page; what was bought until"
    " then stays bought."
)
# Orders for which nothing was charged; an open one may still be.
UNCHARGED = (Order.Status.FAILED, Order.Status.EXPIRED)
# It fits the column and is more than anybody pays.
MAX_CEILING_CENTS = 10**12


@dataclass(frozen=True, slots=True)
class Terms:
    """What a customer chooses."""

    pack_slug: str
    currency: str
    threshold_credits: int
    monthly_ceiling_cents: int


def is_offered() -> bool:
    """Tell whether this site tops up automatically.

    Stripe computes tax only on its Checkout page, so a site with automatic tax does not.
    """
    return settings.AUTO_TOP_UP and not settings.STRIPE_AUTOMATIC_TAX


def find_top_up(team: Team) -> AutoTopUp | None:
    """Return a team's top-up; None if it was never set up."""
    found = AutoTopUp.objects.select_related("wallet__team__person", "pack", "consent")
    return found.filter(wallet__team=team).first()


def get_top_up(team: Team) -> AutoTopUp:
    """Return a team's top-up; make one that is switched off if there is none."""
    found, _ = AutoTopUp.objects.get_or_create(wallet=get_wallet(team))
    return found


def consent_text() -> str:
    """Return the words that a customer agrees to, in the reader's language."""
    return gettext(CONSENT_TEXT).format(site=settings.SITE_NAME)


def consent_version() -> str:
    """Return the version of these words, with their language unless it is English.

    Who changes the language between reading and agreeing is asked to read again.
    """
    language = get_language() or "en"
    return CONSENT_VERSION if language == "en" else f"{CONSENT_VERSION}-{language}"


@transaction.atomic
def agree(seat: Membership, terms: Terms, *, address: str = "") -> AutoTopUp:
    """Store a member's consent to these terms and switch on; without a card, wait for one.

    `address` is the IP address of the browser. Raises NotAllowed, TopUpRefused, PackUnavailable,
    TooManyCards.
    """
    seat = lock_seat(seat, Deed.TOP_UP)
    if not is_offered():
        raise TopUpRefused(gettext("Automatic top-up is not offered here."))
    pack = get_pack(terms.pack_slug)
    price = get_price(pack, terms.currency)
    _check_terms(terms, pack, price)
    _check_rate(seat.user)
    top_up = lock_top_up(get_top_up(seat.team).pk)
    top_up.consent = TopUpConsent.objects.create(
        wallet=top_up.wallet,
        given_by=seat.user,
        version=consent_version(),
        text=consent_text(),
        pack_name=pack.name,
        credits=pack.credits,
        amount_cents=price.amount_cents,
        currency=price.currency,
        threshold_credits=terms.threshold_credits,
        monthly_ceiling_cents=terms.monthly_ceiling_cents,
        address=client_network(address),
    )
    top_up.pack = pack
    top_up.currency = price.currency
    top_up.threshold_credits = terms.threshold_credits
    top_up.monthly_ceiling_cents = terms.monthly_ceiling_cents
    top_up.paused_until = None
    _start(top_up)
    note(
        seat.team,
        Action.TOP_UP_AGREED,
        actor=seat.user,
        subject=pack.name,
        after={
            "threshold_credits": terms.threshold_credits,
            "monthly_ceiling_cents": terms.monthly_ceiling_cents,
            "currency": price.currency,
        },
    )
    return top_up


def switch_off_by_customer(seat: Membership) -> None:
    """Switch off as a member asks. The saved card stays. Safe to repeat. Raises NotAllowed."""
    demand(seat, Deed.TOP_UP)
    top_up = find_top_up(seat.team)
    if top_up is not None:
        switch_off_at_wish(top_up, by=seat.user)


@transaction.atomic
def switch_off_by_staff(top_up: AutoTopUp, *, actor: User, reason: str) -> None:
    """Switch off with a reason, which customers don't see. Safe to repeat. Raises MissingReason."""
    word = reason.strip()
    if not word:
        raise MissingReason("A reason is required: it is what the record will say.")
    if switch_off(top_up, OffReason.STAFF, detail=f"{word} ({actor})"):
        notify_top_up_off(top_up, reason=OffReason.STAFF)


def lock_top_up(pk: int) -> AutoTopUp:
    """Lock a top-up for the caller's transaction, and return it as it is now."""
    return AutoTopUp.objects.select_for_update().get(pk=pk)


def spent_this_month(wallet: Wallet, currency: str) -> int:
    """Return what top-ups of this UTC month cost or may yet cost, in the smallest unit.

    A top-up ordered last month and charged this month counts in both, so that no month has more
    charges than its limit allows. Refunded top-ups count, too.
    """
    start = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    top_ups = Order.objects.filter(
        team=wallet.team_id,
        channel=Order.Channel.TOP_UP,
        currency=currency,
    )
    in_month = Q(created_at__gte=start) | Q(fulfilled_at__gte=start)
    top_ups = top_ups.filter(in_month | Q(status__in=Order.UNPAID)).exclude(status__in=UNCHARGED)
    cost = Case(When(paid_cents=None, then=F("amount_cents")), default=F("paid_cents"))
    return top_ups.aggregate(total=Sum(cost))["total"] or 0


def has_room(top_up: AutoTopUp, price: Price) -> bool:
    """Tell whether one more top-up stays within the month's ceiling."""
    spent = spent_this_month(top_up.wallet, price.currency)
    return spent + price.amount_cents <= (top_up.monthly_ceiling_cents or 0)


def agreed_price(top_up: AutoTopUp) -> Price:
    """Return today's price. Raises PackUnavailable if the terms are worse than those agreed to."""
    pack, consent = top_up.pack, top_up.consent
    if pack is None or consent is None or not pack.is_active:
        raise PackUnavailable(gettext("The pack is no longer on sale."))
    price = get_price(pack, top_up.currency)
    if price.amount_cents > consent.amount_cents or pack.credits < consent.credits:
        raise PackUnavailable(
            gettext("The pack is no longer sold on the terms that were agreed to.")
        )
    return price


def _check_terms(terms: Terms, pack: Pack, price: Price) -> None:
    if not 0 < terms.threshold_credits <= pack.credits:
        # Otherwise one pack might not lift the balance to the level, and the next would follow.
        raise TopUpRefused(
            gettext("Choose a level of at most the pack's {credits} credits.").format(
                credits=money.credits(pack.credits)
            )
        )
    if not price.amount_cents <= terms.monthly_ceiling_cents <= MAX_CEILING_CENTS:
        raise TopUpRefused(gettext("The monthly limit must be enough for one pack."))


def _check_rate(user: User) -> None:
    """Raise TooManyCards for a user whose cards were declined too often within an hour.

    Each consent leads to a charge, so stolen cards can be tried out this way, too.
    """
    declined = Order.objects.filter(
        buyer=user,
        channel=Order.Channel.TOP_UP,
        status=Order.Status.FAILED,
        created_at__gt=timezone.now() - timedelta(seconds=WINDOW_S),
    )
    if declined.count() >= settings.UNPAID_ORDERS_PER_USER:
        raise TooManyCards(
            gettext("Too many charges were declined within an hour. Please wait a while.")
        )


def _start(top_up: AutoTopUp) -> None:
    """Switch on, or wait for the card; forget why it was off."""
    top_up.state = State.ON if top_up.stripe_payment_method_id else State.WAITING
    top_up.off_reason = top_up.off_detail = ""
    top_up.off_at = None
    top_up.save()
