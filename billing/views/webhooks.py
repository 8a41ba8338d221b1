"""Webhooks: list, add, change, test, renew, remove; and what each was sent.

A secret appears in one answer only.
"""

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.teams.roles import Deed
from billing.exceptions import BillingError
from billing.models import Webhook, WebhookDelivery
from billing.models.notice import DEFAULT_LOW_BALANCE_CREDITS
from billing.notices.webhooks import switches
from billing.notices.webhooks.deliveries import send_again, write_test
from billing.notices.webhooks.kinds import CHOICES, KINDS
from billing.tasks.webhooks import nudge_webhooks
from billing.views.requests import CustomerRequest, fresh_only, member_only
from common.attempts import count_attempt
from common.credits import MAX_CREDITS
from common.number_fields import WholeNumberField

LATEST = 50
MOST_SENT_BY_HAND = 60


class WebhookForm(forms.Form):
    """Says where a webhook leads, what it is sent and in which form."""

    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/hook"}),
        help_text=_("It gets a POST over https. Redirects are not followed."),
    )
    form = forms.ChoiceField(label=_("Form"), choices=Webhook.Form.choices)
    kinds = forms.MultipleChoiceField(
        label=_("Sent when this happens"),
        required=False,
        choices=[(each.name, each.label) for each in CHOICES],
        widget=forms.CheckboxSelectMultiple,
    )
    low_balance_credits = WholeNumberField(
        label=_("Low balance: below so many credits"), min_value=1, max_value=MAX_CREDITS
    )

    def choice(self) -> switches.Choice:
        """Return what was chosen, once the form is valid."""
        return switches.Choice(
            url=self.cleaned_data["url"],
            form=self.cleaned_data["form"],
            kinds=tuple(self.cleaned_data["kinds"]),
            low_balance_credits=self.cleaned_data["low_balance_credits"],
        )


@member_only(Deed.MANAGE_WEBHOOKS)
@require_safe
def webhooks(request: CustomerRequest) -> HttpResponse:
    """List the team's webhooks."""
    found = list(request.team.webhooks.all())
    return render(request, "dashboard/settings/webhooks.html", {"webhooks": found})


@member_only(Deed.MANAGE_WEBHOOKS)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_new(request: CustomerRequest) -> HttpResponse:
    """Ask for a new webhook, and on POST make it and show its secret once."""
    initial = {
        "kinds": [each.name for each in CHOICES],
        "low_balance_credits": DEFAULT_LOW_BALANCE_CREDITS,
    }
    form = WebhookForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            webhook, secret = switches.make_webhook(request.seat, form.choice())
        except BillingError as error:
            form.add_error("url", str(error))
        else:
            return _page(request, webhook, secret=secret)
    status = 400 if form.errors else 200
    return render(request, "dashboard/settings/webhook_new.html", {"form": form}, status=status)


@member_only(Deed.MANAGE_WEBHOOKS)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: CustomerRequest, webhook_id: int) -> HttpResponse:
    """Show a webhook and what it was sent lately; on POST change it."""
    found = _find(request, webhook_id)
    if request.method != "POST":
        return _page(request, found)
    form = WebhookForm(request.POST)
    if form.is_valid():
        try:
            switches.change_webhook(request.seat, found, form.choice())
        except BillingError as error:
            form.add_error("url", str(error))
        else:
            messages.success(request, gettext("Saved."))
            return redirect("settings-webhook", webhook_id=found.pk)
    return _page(request, found, form=form)


@member_only(Deed.MANAGE_WEBHOOKS)
@fresh_only("POST")
@require_POST
def webhook_renew(request: CustomerRequest, webhook_id: int) -> HttpResponse:
    """Give a webhook a new secret and show it once."""
    found = _find(request, webhook_id)
    secret = switches.renew_secret(request.seat, found)
    return _page(request, _find(request, webhook_id), secret=secret)


@member_only(Deed.MANAGE_WEBHOOKS)
@require_POST
def webhook_test(request: CustomerRequest, webhook_id: int) -> HttpResponse:
    """Send a webhook a test."""
    found = _find(request, webhook_id)
    if _may_send(request, found):
        write_test(found)
        nudge_webhooks()
        messages.success(request, gettext("A test is on its way: see below how it went."))
    return redirect("settings-webhook", webhook_id=found.pk)


@member_only(Deed.MANAGE_WEBHOOKS)
@require_POST
def webhook_switch(request: CustomerRequest, webhook_id: int) -> HttpResponse:
    """Switch a webhook on, or off."""
    found = _find(request, webhook_id)
    switches.switch_webhook(request.seat, found, is_on=request.POST.get("to") == "on")
    return redirect("settings-webhook", webhook_id=found.pk)


@member_only(Deed.MANAGE_WEBHOOKS)
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_remove(request: CustomerRequest, webhook_id: int) -> HttpResponse:
    """Ask for confirmation, and on POST remove a webhook with what it was sent."""
    found = _find(request, webhook_id)
    if request.method == "POST":
        switches.remove_webhook(request.seat, found)
        messages.success(request, gettext("The webhook is removed."))
        return redirect("settings-webhooks")
    return render(request, "dashboard/settings/webhook_remove.html", {"webhook": found})


@member_only(Deed.MANAGE_WEBHOOKS)
@require_safe
def delivery(request: CustomerRequest, delivery_id: int) -> HttpResponse:
    """Show what a webhook was sent, and what came of it."""
    found = _find_delivery(request, delivery_id)
    context = {
        "delivery": found,
        "kind": KINDS.get(found.kind),
        "body": json.dumps(json.loads(found.body), indent=2, ensure_ascii=False),
    }
    return render(request, "dashboard/settings/delivery.html", context)


@member_only(Deed.MANAGE_WEBHOOKS)
@require_POST
def delivery_again(request: CustomerRequest, delivery_id: int) -> HttpResponse:
    """Send a delivery once more, with the same id."""
    found = _find_delivery(request, delivery_id)
    if _may_send(request, found.webhook):
        send_again(found)
        nudge_webhooks()
        messages.success(request, gettext("It is on its way again."))
    return redirect("settings-delivery", delivery_id=found.pk)


def _find(request: CustomerRequest, webhook_id: int) -> Webhook:
    return get_object_or_404(
        Webhook.objects.select_related("team"), team=request.team, pk=webhook_id
    )


def _find_delivery(request: CustomerRequest, delivery_id: int) -> WebhookDelivery:
    theirs = WebhookDelivery.objects.filter(webhook__team=request.team)
    return get_object_or_404(theirs.select_related("webhook"), pk=delivery_id)


def _may_send(request: CustomerRequest, webhook: Webhook) -> bool:
    """Tell whether something may be sent by hand now; if not, say why."""
    if webhook.off_at:
        messages.error(request, gettext("The webhook is off. Switch it on first."))
        return False
    if count_attempt(f"webhooks:{request.team.pk}") > MOST_SENT_BY_HAND:
        messages.error(request, gettext("That was often. Please try again in an hour."))
        return False
    return True


def _page(
    request: CustomerRequest,
    webhook: Webhook,
    *,
    form: WebhookForm | None = None,
    secret: str = "",
) -> HttpResponse:
    chosen = switches.Choice.of(webhook)
    initial = {name: getattr(chosen, name) for name in WebhookForm.base_fields}
    now = timezone.now()
    context: dict[str, Any] = {
        "webhook": webhook,
        "form": form or WebhookForm(initial=initial),
        "secret": secret if webhook.form == Webhook.Form.JSON else "",
        "is_renewing": webhook.previous_expires_at and webhook.previous_expires_at > now,
        "deliveries": [
            (each, KINDS[each.kind].label if each.kind in KINDS else each.kind)
            for each in webhook.deliveries.defer("body")[:LATEST]
        ],
    }
    status = 400 if form and form.errors else 200
    return render(request, "dashboard/settings/webhook.html", context, status=status)
