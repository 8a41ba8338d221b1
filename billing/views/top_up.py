"""Automatic top-up: set up, change, switch off, remove the card."""

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.teams.roles import Deed
from billing.catalogue.pack_prices import list_prices
from billing.exceptions import InvalidAmount, PackUnavailable, TooManyCards, TopUpRefused
from billing.ledger.balances import read_balance
from billing.models import AutoTopUp, Order
from billing.orders.questions import count_question
from billing.top_ups import agreement as top_ups
from billing.top_ups import cards as top_up_cards
from billing.views.forms import TopUpForm, offer_of
from billing.views.refusals import as_message
from billing.views.requests import CustomerRequest, fresh_only, member_only
from common.currencies import decimal_places

LATEST = 20
PAGE = "dashboard-top-up"


@member_only(Deed.TOP_UP)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def top_up(request: CustomerRequest) -> HttpResponse:
    """Show how the balance tops itself up; on POST save the customer's terms and consent."""
    known = top_ups.get_top_up(request.team)
    form = TopUpForm(request.POST or None, initial=_initial(known))
    if request.method == "POST" and form.is_valid() and _agree(request, form):
        if top_ups.get_top_up(request.team).is_on:
            messages.success(request, gettext("Saved. Automatic top-up is on."))
            return redirect(PAGE)
        return _to_stripe(request)
    status = 400 if form.errors else 200
    return render(request, "dashboard/top_up.html", _context(request, known, form), status=status)


@member_only(Deed.TOP_UP)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def save_card(request: CustomerRequest) -> HttpResponse:
    """Lead to Stripe's page on which a card is saved. A GET leads to our own page."""
    return _to_stripe(request) if request.method == "POST" else redirect(PAGE)


@member_only(Deed.TOP_UP)
@require_safe
def card_saved(request: CustomerRequest) -> HttpResponse:
    """Save the card when Stripe sends the customer back. The webhook may have done it before."""
    with as_message(request):
        count_question(request.user)
        top_up_cards.finish_setup(request.GET.get("session_id", "")[:120])
    known = top_ups.get_top_up(request.team)
    if known.is_on:
        messages.success(
            request,
            gettext("{card_label} is saved, and automatic top-up is on.").format(
                card_label=known.card_label
            ),
        )
    elif known.stripe_payment_method_id:
        messages.success(
            request, gettext("{card_label} is saved.").format(card_label=known.card_label)
        )
    else:
        messages.info(request, gettext("No card is saved yet."))
    return redirect(PAGE)


@member_only(Deed.TOP_UP)
@require_POST
def switch_off(request: CustomerRequest) -> HttpResponse:
    """Switch off and keep the card."""
    top_ups.switch_off_by_customer(request.seat)
    messages.success(request, gettext("Automatic top-up is off. Nothing more will be ordered."))
    return redirect(PAGE)


@member_only(Deed.TOP_UP)
@require_POST
def remove_card(request: CustomerRequest) -> HttpResponse:
    """Switch off and forget the card."""
    with as_message(request):
        top_up_cards.remove_card(request.team, by=request.user)
        messages.success(request, gettext("Your card is removed, and automatic top-up is off."))
    return redirect(PAGE)


def _agree(request: CustomerRequest, form: TopUpForm) -> bool:
    """Save what was agreed to, or show on the form why it can't be. True if it was saved."""
    try:
        top_ups.agree(request.seat, form.terms(), address=request.META.get("REMOTE_ADDR", ""))
    except PackUnavailable:
        form.add_error("offer", gettext("That pack is no longer on sale."))
    except (TopUpRefused, TooManyCards, InvalidAmount) as refusal:
        form.add_error(None, str(refusal))
    return not form.errors


def _to_stripe(request: CustomerRequest) -> HttpResponse:
    next_url = reverse(PAGE)
    with as_message(request):
        next_url = top_up_cards.start_setup(
            request.seat, address=request.META.get("REMOTE_ADDR", "")
        )
    return redirect(next_url)


def _initial(known: AutoTopUp) -> dict[str, Any]:
    if known.pack is None or known.consent is None or known.monthly_ceiling_cents is None:
        return {}
    places = decimal_places(known.currency)
    offers = [offer_of(known.pack, price) for price in list_prices(known.pack)]
    prefix = f"{known.pack.slug}:{known.currency}:"
    return {
        "offer": next((offer for offer in offers if offer.startswith(prefix)), ""),
        "threshold_credits": known.threshold_credits,
        "ceiling": Decimal(known.monthly_ceiling_cents).scaleb(-places),
    }


def _context(request: CustomerRequest, known: AutoTopUp, form: TopUpForm) -> dict[str, Any]:
    found = Order.objects.filter(team=request.team, channel=Order.Channel.TOP_UP)
    return {
        "top_up": known,
        "form": form,
        "is_offered": top_ups.is_offered(),
        "consent_text": top_ups.consent_text(),
        "consent_version": top_ups.consent_version(),
        "spent_cents": top_ups.spent_this_month(known.wallet, known.currency),
        "orders": found[:LATEST],
        "now": timezone.now(),
        "wallet": known.wallet,
        "balance": read_balance(known.wallet),
    }
