"""A customer's orders."""

from uuid import UUID, uuid4, uuid5

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts.teams.roles import Deed
from billing.models import Order, Refund
from billing.orders.documents import find_document
from billing.orders.questions import count_question
from billing.orders.refunds import offer_to_customer, refund_to_customer
from billing.stripe_inbox.open_orders import ask_again
from billing.views.forms import MAX_ID, RefundForm
from billing.views.polling import poll_after_s, read_polls
from billing.views.refusals import as_message
from billing.views.requests import CustomerRequest, member_only
from common.money import price

PAGE_SIZE = 25
ON_ITS_WAY = (Refund.Status.OPEN, Refund.Status.PENDING)


class PageForm(forms.Form):
    """Which page of a list: that of the rows before one."""

    before = forms.IntegerField(required=False, min_value=1, max_value=MAX_ID)


@member_only(Deed.SEE_ORDERS)
@require_safe
def orders(request: CustomerRequest) -> HttpResponse:
    """List the team's orders, newest first, a page at a time."""
    form = PageForm(request.GET)
    if not form.is_valid():
        raise Http404("There is no such page of orders.")
    before = form.cleaned_data["before"]
    rows = Order.objects.filter(team=request.team, **({"pk__lt": before} if before else {}))
    # One order more than the page shows tells whether there is a next page.
    found = list(rows[: PAGE_SIZE + 1])
    page = found[:PAGE_SIZE]
    context = {
        "orders": page,
        "now": timezone.now(),
        "newest_url": "?" if before else "",
        "next_url": f"?before={page[-1].pk}" if len(found) > PAGE_SIZE else "",
    }
    return render(request, "dashboard/orders.html", context)


@member_only(Deed.SEE_ORDERS)
@require_http_methods(["GET", "HEAD", "POST"])
def order(request: CustomerRequest, public_id: UUID) -> HttpResponse:
    """Show one order; on POST ask Stripe for its state again."""
    order = get_object_or_404(Order, public_id=public_id, team=request.team)
    if request.method == "POST":
        check_again(request, order)
        return redirect("dashboard-order", public_id=order.public_id)
    polls = read_polls(request)
    context = {
        "order": order,
        "refunds": order.refunds.all(),
        "disputes": [dispute for dispute in order.disputes.all() if dispute.is_open],
        "offer": offer_to_customer(order),
        "now": timezone.now(),
        "is_waiting": is_waiting(order),
        "poll_after_s": poll_after_s(polls),
        "poll_url": f"?n={polls + 1}",
    }
    return render(request, "dashboard/order.html", context)


@member_only(Deed.SEE_ORDERS)
@require_safe
def order_document(request: CustomerRequest, public_id: UUID, kind: str) -> HttpResponse:
    """Lead to the order's receipt or invoice, wherever Stripe shows it now."""
    order = get_object_or_404(Order, public_id=public_id, team=request.team)
    next_url = reverse("dashboard-order", args=[order.public_id])
    with as_message(request):
        next_url = find_document(order, kind, asker=request.user)
    return redirect(next_url)


def is_waiting(order: Order) -> bool:
    """Return whether the payment or a refund of it is under way, so that the page polls."""
    is_paying = order.status == Order.Status.PENDING
    return is_paying or any(refund.status in ON_ITS_WAY for refund in order.refunds.all())


@member_only(Deed.BUY)
@require_http_methods(["GET", "HEAD", "POST"])
def order_refund(request: CustomerRequest, public_id: UUID) -> HttpResponse:
    """Show what the unused part of an order is worth; on POST return it."""
    order = get_object_or_404(Order, public_id=public_id, team=request.team)
    if request.method == "POST":
        ask_for_refund(request, order)
        return redirect("dashboard-order", public_id=order.public_id)
    offer = offer_to_customer(order)
    if offer is None:
        return redirect("dashboard-order", public_id=order.public_id)
    context = {"order": order, "offer": offer, "form": RefundForm(initial={"once": uuid4()})}
    return render(request, "dashboard/order_refund.html", context)


def ask_for_refund(request: CustomerRequest, order: Order) -> None:
    """Refund the unused part and show the customer what happens next."""
    form = RefundForm(request.POST)
    if not form.is_valid():
        messages.error(request, gettext("Nothing was refunded. Please try again."))
        return
    with as_message(request):
        refund = refund_to_customer(
            order, key=uuid5(form.cleaned_data["once"], str(order.public_id)), by=request.user
        )
        amount = price(refund.amount_cents, order.currency)
        messages.success(
            request,
            gettext("{amount} will be returned to you. This takes a few days.").format(
                amount=amount
            ),
        )


def check_again(request: CustomerRequest, order: Order) -> None:
    """Read the payment from Stripe once more and show the customer the result."""
    if not order.stripe_session_id and not order.is_top_up:
        messages.info(
            request, gettext("This order never reached the payment page. Nothing was charged.")
        )
        return
    with as_message(request):
        count_question(request.user)
        found = ask_again(order)
        if found.status == Order.Status.FULFILLED:
            messages.success(request, gettext("Paid: the credits are in your balance."))
        else:
            messages.info(request, gettext("Checked just now; the order's state is below."))
