"""Redeem a code."""

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from billing.gifts import redeem_codes
from billing.models import RedeemCode
from billing.views.forms import RedeemForm
from billing.views.refusals import as_message
from billing.views.requests import CustomerRequest, customer_only
from common.money import credits as credits_text

LATEST = 10


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def redeem(request: CustomerRequest) -> HttpResponse:
    """Show what this customer redeemed; on POST redeem a code."""
    form = RedeemForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        address = get_adapter().get_client_ip(request)
        with as_message(request):
            entry = redeem_codes.redeem(request.user, form.cleaned_data["code"], address=address)
            words = credits_text(entry.amount_credits)
            messages.success(request, f"{words} credits are in your balance.")
        return redirect("dashboard-redeem")
    redeemed = RedeemCode.objects.select_related("batch").filter(redeemed_by=request.user)
    context = {"form": form, "redeemed": redeemed.order_by("-redeemed_at")[:LATEST]}
    return render(request, "dashboard/redeem.html", context, status=400 if form.errors else 200)
