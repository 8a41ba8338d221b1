"""What is sent where: a row for each kind, a column for the reader's mail and for each webhook."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.forms import BoundField
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.models import Membership
from accounts.teams.roles import Deed, may
from billing.models import Notice, Webhook
from billing.notices.low_balance import get_notification_settings, save_notification_settings
from billing.notices.webhooks.kinds import LOW_BALANCE, MONTHLY
from billing.notices.webhooks.switches import choose_kinds
from billing.views.requests import CustomerRequest, customer_only
from common.credits import MAX_CREDITS
from common.number_fields import WholeNumberField

LATEST = 10
SWITCHES = (
    *("wants_low_balance", "wants_lot_expiring", "wants_top_up_succeeded"),
    "wants_monthly_summary",
)
MONEY_FIELDS = (*SWITCHES, "low_balance_credits")
WEBHOOK_FIELDS = ("webhooks", "shown")


@dataclass(frozen=True, slots=True)
class Row:
    """One kind: what it is, the field that switches its mail, and the kind that webhooks have.

    Without a field it is mailed in any case, to those who may `deed`.
    """

    label: Promise
    field: str = ""
    kind: str = ""
    deed: Deed | None = Deed.GET_MONEY_MAIL
    more: Promise | str = ""


ROWS = (
    Row(
        _("My balance is low"),
        "wants_low_balance",
        LOW_BALANCE,
        more=_("Once, when it falls below your threshold; again only after it was above."),
    ),
    Row(
        _("Credits expire within a week"),
        "wants_lot_expiring",
        more=_("Once for each pack or gift of which something is left."),
    ),
    Row(
        _("My balance was topped up automatically"),
        "wants_top_up_succeeded",
        more=_("Its receipt comes in any case."),
    ),
    Row(
        _("Summary of a month"),
        "wants_monthly_summary",
        MONTHLY,
        more=_("On the first, if anything was spent or bought."),
    ),
    Row(_("Automatic top-up failed, or waits for you"), kind="top_up.failed"),
    Row(_("Purchase"), kind="order.paid"),
    Row(_("Refund"), kind="order.refunded"),
    Row(_("Dispute of a payment")),
    Row(
        _("Leap in a key’s spending"),
        kind="key.spend_leapt",
        deed=None,
        more=_("More within an hour than three times what it spent in its busiest hour of a week."),
    ),
    Row(_("API key made"), kind="key.made", deed=None),
    Row(_("API key rotated"), kind="key.rotated", deed=None),
    Row(_("API key revoked"), kind="key.revoked", deed=None),
    Row(_("Your role in a team, and its end"), deed=None),
    Row(_("Sign-in from a browser or network that we had not seen before"), deed=None),
)


class NotificationForm(forms.Form):
    """Chooses among what a member may choose: mails about money, and what webhooks are sent."""

    wants_low_balance = forms.BooleanField(required=False)
    low_balance_credits = WholeNumberField(
        label=_("Mail me below so many credits"), min_value=1, max_value=MAX_CREDITS
    )
    wants_lot_expiring = forms.BooleanField(required=False)
    wants_top_up_succeeded = forms.BooleanField(required=False)
    wants_monthly_summary = forms.BooleanField(required=False)
    # Each is a webhook's id and a kind. Webhooks that the page did not show stay as they are.
    webhooks = forms.MultipleChoiceField(required=False)
    shown = forms.MultipleChoiceField(required=False)

    def __init__(self, seat: Membership, webhooks: Iterable[Webhook], *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        rights = ((MONEY_FIELDS, Deed.GET_MONEY_MAIL), (WEBHOOK_FIELDS, Deed.MANAGE_WEBHOOKS))
        for names, deed in rights:
            if not may(seat, deed):
                for name in names:
                    del self.fields[name]
        for name, values in (
            ("webhooks", [_value(each, row.kind) for each in webhooks for row in ROWS if row.kind]),
            ("shown", [str(each.pk) for each in webhooks]),
        ):
            if name in self.fields:
                field = self.fields[name]
                assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 - for the types
                field.choices = [(value, value) for value in values]


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def notifications(request: CustomerRequest) -> HttpResponse:
    """Show what is sent where, with the latest mails; on POST save what was chosen."""
    known = get_notification_settings(request.team, request.user)
    webhooks = _webhooks(request.seat)
    initial = {name: getattr(known, name) for name in MONEY_FIELDS}
    form = NotificationForm(request.seat, webhooks, request.POST or None, initial=initial)
    if request.method == "POST" and not form.fields:
        raise PermissionDenied("This member chooses nothing.")
    if request.method == "POST" and form.is_valid():
        _save(request.seat, webhooks, form.cleaned_data)
        messages.success(request, gettext("Saved."))
        return redirect("settings-notifications")
    latest = Notice.objects.filter(user=request.user, sent_at__isnull=False)[:LATEST]
    context = {
        "form": form,
        "webhooks": webhooks,
        "rows": [(row, *_cells(request.seat, row, form, webhooks)) for row in ROWS],
        "latest": latest,
    }
    status = 400 if form.errors else 200
    return render(request, "dashboard/settings/notifications.html", context, status=status)


@transaction.atomic
def _save(seat: Membership, webhooks: Iterable[Webhook], chosen: dict[str, Any]) -> None:
    if "low_balance_credits" in chosen:
        save_notification_settings(seat, **{name: chosen[name] for name in MONEY_FIELDS})
    for webhook in webhooks:
        if str(webhook.pk) in chosen.get("shown", ()):
            values = chosen["webhooks"]
            kinds = [row.kind for row in ROWS if _value(webhook, row.kind) in values]
            choose_kinds(seat, webhook, kinds)


def _webhooks(seat: Membership) -> list[Webhook]:
    """Return the webhooks that a member may see, those that are off included."""
    return list(seat.team.webhooks.all()) if may(seat, Deed.MANAGE_WEBHOOKS) else []


def _cells(
    seat: Membership, row: Row, form: NotificationForm, webhooks: Iterable[Webhook]
) -> tuple[BoundField | None, bool, list[tuple[Webhook, str, bool]]]:
    """Return a row's switch, whether it is mailed at all, and each webhook's value and state."""
    is_mailed = row.deed is None or may(seat, row.deed)
    switch = form[row.field] if row.field in form.fields else None
    chosen = [
        (webhook, _value(webhook, row.kind) if row.kind else "", row.kind in webhook.kinds)
        for webhook in webhooks
    ]
    return switch, is_mailed, chosen


def _value(webhook: Webhook, kind: str) -> str:
    return f"{webhook.pk} {kind}"
