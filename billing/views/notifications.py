"""Which mails a customer wants."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from accounts.teams.roles import Deed, may
from billing.models import Notice
from billing.notices.low_balance import get_notification_settings, save_notification_settings
from billing.views.forms import NotificationForm
from billing.views.requests import CustomerRequest, customer_only

LATEST = 10


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def notifications(request: CustomerRequest) -> HttpResponse:
    """Show what is mailed, with the latest mails; on POST save the customer's choice."""
    known = get_notification_settings(request.team, request.user)
    initial = {name: getattr(known, name) for name in NotificationForm.base_fields}
    form = NotificationForm(request.POST or None, initial=initial)
    if request.method == "POST" and not may(request.seat, Deed.GET_MONEY_MAIL):
        raise PermissionDenied("Only who gets mails about money chooses among them.")
    if request.method == "POST" and form.is_valid():
        save_notification_settings(request.seat, **form.cleaned_data)
        messages.success(request, gettext("Saved."))
        return redirect("settings-notifications")
    latest = Notice.objects.filter(user=request.user, sent_at__isnull=False)[:LATEST]
    status = 400 if form.errors else 200
    context = {"form": form, "latest": latest}
    return render(request, "dashboard/settings/notifications.html", context, status=status)
