"""A customer's orders."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from billing.models import Purchase
from billing.services.fulfilment import fulfil_purchase
from billing.views.refusals import as_message
from billing.views.requests import CustomerRequest, customer_only

# Nobody reads further back on one page; statements will list everything.
MOST_ORDERS = 200


@customer_only
@require_safe
def orders(request: CustomerRequest) -> HttpResponse:
    """List the customer's orders, newest first."""
    found = Purchase.objects.filter(user=request.user)[:MOST_ORDERS]
    return render(request, "dashboard/orders.html", {"orders": found, "now": timezone.now()})


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def order(request: CustomerRequest, public_id: UUID) -> HttpResponse:
    """Show one order; on POST ask Stripe again how it stands."""
    purchase = get_object_or_404(Purchase, public_id=public_id, user=request.user)
    if request.method == "POST":
        check_again(request, purchase)
        return redirect("dashboard-order", public_id=purchase.public_id)
    return render(request, "dashboard/order.html", {"order": purchase, "now": timezone.now()})


def check_again(request: CustomerRequest, purchase: Purchase) -> None:
    """Read the payment from Stripe once more and tell the customer."""
    if not purchase.stripe_session_id:
        messages.info(request, "This order never reached the payment page. Nothing was charged.")
        return
    with as_message(request):
        found = fulfil_purchase(purchase.stripe_session_id)
        if found.status == Purchase.Status.FULFILLED:
            messages.success(request, "Paid: the tokens are in your balance.")
        else:
            messages.info(request, "Checked just now; the order's state is below.")
