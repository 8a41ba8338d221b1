"""The first page of the dashboard."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.teams.invitations import invitations_to
from accounts.teams.roles import Deed, may
from billing.keys.api_keys import has_api_keys
from billing.ledger.balances import read_balance
from billing.ledger.usage import maker_seen_by, read_recent_usage, read_usage_page
from billing.ledger.wallets import get_wallet
from billing.models import Dispute, Order
from billing.top_ups.agreement import find_top_up
from billing.views.requests import CustomerRequest, member_only

LATEST = 6
# Orders whose money has not become credits yet, which a customer may look for.
AT_WORK = (Order.Status.PENDING, Order.Status.REVIEW)


@member_only(Deed.SEE_BALANCE)
@require_safe
def dashboard(request: CustomerRequest) -> HttpResponse:
    """Show the balance, what was used lately, and what to do next. htmx gets the page's middle."""
    wallet, seat = get_wallet(request.team), request.seat
    made_by = maker_seen_by(seat)
    latest = read_usage_page(wallet, size=LATEST, made_by=made_by).records
    orders = Order.objects.filter(team=request.team)
    if not may(seat, Deed.SEE_ORDERS):
        orders = orders.none()
    context = {
        "wallet": wallet,
        "orders_at_work": orders.filter(status__in=AT_WORK),
        "disputed_orders": orders.filter(disputes__status__in=Dispute.OPEN).distinct(),
        "top_up": find_top_up(request.team),
        "balance": read_balance(wallet),
        "latest": latest,
        "recent": read_recent_usage(wallet) if latest and made_by is None else None,
        "has_keys": has_api_keys(request.team),
        "invitations": invitations_to(request.user),
        "has_credits": wallet.credited_credits > 0,
    }
    template = "dashboard/_overview.html" if request.htmx else "dashboard/overview.html"
    return render(request, template, context)
