"""Redeem a code."""

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from accounts.teams.roles import Deed
from billing.gifts import redeem_codes
from billing.models import RedeemCode
from billing.views.forms import RedeemForm
from billing.views.refusals import as_message
from billing.views.requests import CustomerRequest, member_only
from common.money import credits as credits_text

LATEST = 10


@member_only(Deed.BUY)
@require_http_methods(["GET", "HEAD", "POST"])
def redeem(request: CustomerRequest) -> HttpResponse:
    """Show what this team redeemed; on POST redeem a code."""
    form = RedeemForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        address = get_adapter().get_client_ip(request)
        with as_message(request):
            entry = redeem_codes.redeem(request.seat, form.cleaned_data["code"], address=address)
            words = credits_text(entry.amount_credits)
            messages.success(
                request, gettext("{words} credits are in your balance.").format(words=words)
            )
        return redirect("dashboard-redeem")
    redeemed = RedeemCode.objects.select_related("batch").filter(team=request.team)
    context = {"form": form, "redeemed": redeemed.order_by("-redeemed_at")[:LATEST]}
    return render(request, "dashboard/redeem.html", context, status=400 if form.errors else 200)
