"""From a pack to the payment page and back."""

import re
from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import get_language, gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.legal import check_agreement, mark_of, texts_to_agree, words_of_agreement
from accounts.models import User
from accounts.teams.roles import Deed
from billing.catalogue.custom_amounts import amount_offers
from billing.catalogue.pack_prices import list_prices
from billing.catalogue.promotions import sell
from billing.exceptions import (
    CurrencyUnproven,
    PackUnavailable,
    PaymentProviderError,
    TooManyQuestions,
)
from billing.keys.first_key import claim_first_key
from billing.ledger.balances import read_balance
from billing.ledger.wallets import get_wallet
from billing.models import Order, Pack
from billing.orders.checkout import start_amount_checkout, start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.questions import count_question
from billing.orders.snapshots import Snapshot, of_pack, of_quote
from billing.stripe_api import SESSION_ID
from billing.views.forms import AmountForm
from billing.views.polling import poll_after_s, read_polls
from billing.views.refusals import MESSAGES, as_message
from billing.views.requests import CustomerRequest, HtmxRequest, member_only

SETTLED = (Order.Status.FULFILLED, Order.Status.REVIEW)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HtmxRequest, slug: str) -> HttpResponseBase:
    """Show an order before it is placed; on POST place it and go to Stripe.

    A visitor without an account signs up first and comes back to this page.
    """
    if not request.user.is_authenticated:
        return _sign_up(request)
    return _pack(request, slug)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def checkout_amount(request: HtmxRequest) -> HttpResponseBase:
    """Do the same for an amount that the customer chose."""
    if not request.user.is_authenticated:
        return _sign_up(request)
    return _amount(request)


def _sign_up(request: HtmxRequest) -> HttpResponse:
    here = request.path if request.method == "POST" else request.get_full_path()
    return redirect(f"{reverse('account_signup')}?{urlencode({'next': here})}")


@member_only(Deed.BUY)
def _pack(request: CustomerRequest, slug: str) -> HttpResponse:
    if request.method == "POST":
        asked = partial(
            start_checkout,
            pack_slug=slug,
            currency=request.POST.get("currency", "")[:3],
            shown_credits=_shown_credits(request),
        )
        return _order(request, asked)
    pack = get_object_or_404(Pack, slug=slug)
    if not pack.is_active:
        # A mail or a bookmark that is older than the offer leads here.
        messages.error(request, gettext(MESSAGES[PackUnavailable]))
        return redirect("packs")
    prices = list_prices(pack)
    if not prices:
        messages.error(request, gettext(MESSAGES[CurrencyUnproven]))
        return redirect("packs")
    wanted = request.GET.get("currency")
    chosen = next((price for price in prices if price.currency == wanted), prices[0])
    sold = sell(pack)
    return _confirm(request, [of_pack(sold, price) for price in prices], chosen.currency)


def _shown_credits(request: CustomerRequest) -> int | None:
    """Return how many credits the page said that was posted; -1 if that is no number."""
    shown = request.POST.get("credits")
    if shown is None:
        return None
    return int(shown) if re.fullmatch(r"[0-9]{1,16}", shown) else -1


@member_only(Deed.BUY)
def _amount(request: CustomerRequest) -> HttpResponse:
    if request.method == "POST":
        mark = request.POST.get("quote", "")
        return _order(request, partial(start_amount_checkout, mark=mark))
    offers = amount_offers()
    form = AmountForm(offers, request.GET) if offers else None
    if form is None or not form.is_valid() or form.quote is None:
        # The page has the same form, and says there what is wrong with the amount.
        return redirect(f"{reverse('packs')}?{request.GET.urlencode()}#amount")
    return _confirm(request, [of_quote(form.quote)], form.quote.currency, mark=form.quote.mark)


def _order(request: CustomerRequest, start: Callable[..., Order]) -> HttpResponse:
    """Place an order and go to Stripe, or back with a message."""
    next_url = request.get_full_path()
    with as_message(request):
        agreed = check_agreement(request.POST.get("texts", ""), agrees="agrees" in request.POST)
        next_url = reverse("packs")
        # An order that is open is looked up at Stripe, too.
        count_question(request.user)
        order = start(
            request.seat,
            address=request.META.get("REMOTE_ADDR", ""),
            language=get_language() or "",
            agreed=agreed,
        )
        next_url = order.stripe_session_url
    return redirect(next_url)


def _confirm(
    request: CustomerRequest, terms: list[Snapshot], currency: str, *, mark: str = ""
) -> HttpResponse:
    """Show what is ordered next, in each of its currencies; an amount has its quote's mark."""
    texts = texts_to_agree()
    context = {
        "item": terms[0],
        "terms": terms,
        "currency": currency,
        "quote": mark,
        "wallet": get_wallet(request.team),
        "texts_mark": mark_of(texts),
        "words_of_agreement": words_of_agreement(texts) if texts else "",
    }
    return render(request, "checkout/confirm.html", context)


@member_only(Deed.BUY)
@require_safe
def checkout_return(request: CustomerRequest) -> HttpResponse:
    """Fulfil an order when Stripe sends the customer back. The page polls until it is settled."""
    session_id = request.GET.get("session_id", "")
    if not SESSION_ID.fullmatch(session_id):
        raise Http404("No order has such a session.")
    order = get_object_or_404(Order, team=request.team, stripe_session_id=session_id)
    order, is_reachable = _settle(order, request.user)
    is_paid = order.status == Order.Status.FULFILLED
    polls = read_polls(request)
    context = {
        "order": order,
        "is_reachable": is_reachable,
        "is_waiting": order.status in Order.UNPAID,
        "poll_after_s": poll_after_s(polls),
        "poll_url": f"?{urlencode({'session_id': session_id, 'n': str(polls + 1)})}",
        "balance": read_balance(get_wallet(request.team)) if is_paid else None,
        "secret": claim_first_key(order) if is_paid else None,
        "now": timezone.now(),
    }
    template = "checkout/_return.html" if request.htmx else "checkout/return.html"
    return render(request, template, context)


@member_only(Deed.BUY)
@require_safe
def checkout_cancel(request: CustomerRequest, public_id: UUID) -> HttpResponse:
    """Show that nothing was charged. The order stays open until it expires."""
    order = get_object_or_404(Order, public_id=public_id, team=request.team)
    return render(request, "checkout/cancelled.html", {"order": order, "now": timezone.now()})


def _settle(order: Order, asker: User) -> tuple[Order, bool]:
    """Return the order as Stripe has it now, and whether Stripe could be asked."""
    if order.status in SETTLED or not order.stripe_session_id:
        return order, True
    try:
        count_question(asker)
        return fulfil_checkout(order.stripe_session_id), True
    except (PaymentProviderError, TooManyQuestions):
        # The webhook and the sweep fulfil the order anyway; this page only shows it later.
        return order, False
