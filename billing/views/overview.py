"""The first page of the dashboard."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.teams.invitations import invitations_to
from accounts.teams.roles import Deed, may
from accounts.time_zones import zone_of
from billing.catalogue.promotions import find_promotion_to_show
from billing.keys.api_keys import has_api_keys
from billing.ledger.balances import read_balance
from billing.ledger.outlook import next_lots, pace_of, read_outlook
from billing.ledger.usage import UsageFilter, maker_seen_by, read_usage_page
from billing.ledger.wallets import get_wallet
from billing.models import Dispute, Order, Wallet
from billing.orders.worth_left import worth_left
from billing.rollups.periods import Step, between
from billing.top_ups.agreement import find_top_up
from billing.views.requests import CustomerRequest, member_only
from billing.wallet.commands.figures import Balance

LATEST = 6
CHART_DAYS = 30
# Orders whose money has not become credits yet, which a customer may look for.
AT_WORK = (Order.Status.PENDING, Order.Status.REVIEW)


@member_only(Deed.SEE_BALANCE)
@require_safe
def dashboard(request: CustomerRequest) -> HttpResponse:
    """Show the balance, what was used lately, and what to do next. htmx gets the page's middle."""
    wallet, seat = get_wallet(request.team), request.seat
    chosen = UsageFilter(made_by=maker_seen_by(seat))
    latest = read_usage_page(wallet, chosen, size=LATEST).records
    orders = Order.objects.filter(team=request.team)
    sees_orders = may(seat, Deed.SEE_ORDERS)
    balance = read_balance(wallet)
    context: dict[str, Any] = {
        "promotion": find_promotion_to_show(),
        "wallet": wallet,
        "orders_at_work": orders.filter(status__in=AT_WORK) if sees_orders else [],
        "disputed_orders": orders.filter(disputes__status__in=Dispute.OPEN).distinct()
        if sees_orders
        else [],
        "top_up": find_top_up(request.team),
        "balance": balance,
        "worth": worth_left(wallet) if sees_orders else [],
        "lots": next_lots(wallet),
        "latest": latest,
        "has_keys": has_api_keys(request.team, made_by=request.user),
        "invitations": invitations_to(request.user),
        "has_credits": wallet.credited_credits > 0,
        "zone": zone_of(request),
    }
    if latest:
        context |= _read_usage(request, wallet, chosen, balance.available_credits)
    context["shortage"] = _shortage(request, balance, context)
    template = "dashboard/_overview.html" if request.htmx else "dashboard/overview.html"
    return render(request, template, context)


def _shortage(request: CustomerRequest, balance: Balance, context: dict[str, Any]) -> str:
    """Return `used up` or `short` if credits are needed and no other notice asks for them."""
    wallet, pace, top_up = context["wallet"], context.get("pace"), context["top_up"]
    has_top_up_notice = top_up and top_up.was_switched_off and may(request.seat, Deed.TOP_UP)
    if wallet.state == Wallet.State.FROZEN or balance.debt_credits or has_top_up_notice:
        return ""
    if wallet.credited_credits and not (balance.available_credits or balance.held_credits):
        return "used up"
    return "short" if pace and pace.is_short else ""


def _read_usage(
    request: CustomerRequest, wallet: Wallet, chosen: UsageFilter, available_credits: int
) -> dict[str, Any]:
    """Return the last days' chart, how long the balance lasts, and the months."""
    zone, now = zone_of(request), timezone.now()
    today = now.astimezone(zone).date()
    days = between(today - timedelta(days=CHART_DAYS - 1), today, step=Step.DAY, zone=zone)
    chart, months = read_outlook(wallet, days, now=now, chosen=chosen)
    return {
        "chart": chart,
        "months": months,
        # The balance is everybody's, so one member's use tells nothing of it.
        "pace": pace_of(chart, available_credits) if chosen.made_by is None else None,
    }
