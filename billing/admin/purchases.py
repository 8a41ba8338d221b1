"""Purchases: every order, with the snapshot of what was agreed."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin_base import Tool, list_tool
from billing.admin import columns
from billing.admin.actions import Asked, ReadOnlyWithActions, StaffAction
from billing.models import Purchase
from billing.services.fulfilment import fulfil_purchase

TONES = {
    Purchase.Status.OPEN: "waiting",
    Purchase.Status.FULFILLED: "good",
    Purchase.Status.REVIEW: "bad",
}


def ask_stripe(asked: Asked[Purchase]) -> str:
    purchase = fulfil_purchase(str(asked.obj.stripe_session_id))
    return f"Stripe was asked; the order is {purchase.get_status_display().lower()}."


ASK_STRIPE = StaffAction[Purchase](
    name="ask-stripe",
    label="Ask Stripe again",
    explanation="Reads the payment from Stripe and credits the order if it was paid as agreed."
    " An order that was credited before is not credited again.",
    permission="billing.change_purchase",
    apply=ask_stripe,
    refusal=lambda order: (
        "" if order.stripe_session_id else "Stripe was never asked for a session."
    ),
    # It waits for Stripe, and fulfilment has a transaction of its own.
    is_atomic=False,
)


@admin.register(Purchase)
class PurchaseAdmin(ReadOnlyWithActions[Purchase]):
    staff_actions = (ASK_STRIPE,)
    list_display = (
        "id",
        "created_at",
        "user",
        "pack_name",
        columns.number("credits", "Credits"),
        columns.price("amount_cents", "Amount"),
        "state",
        "fulfilled_at",
        columns.price("refunded_cents", "Refunded"),
    )
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": (
                    "public_id",
                    "user",
                    "pack",
                    "pack_name",
                    columns.number("credits", "Credits"),
                    columns.price("amount_cents", "Amount"),
                    "validity_days",
                    "state",
                    "review_reason",
                )
            },
        ),
        (
            "Given back",
            {
                "fields": (
                    columns.price("refunded_cents", "Refunded"),
                    columns.price("disputed_cents", "Disputed"),
                    columns.number("clawed_back_credits", "Credits clawed back"),
                )
            },
        ),
        (
            "At Stripe",
            {"fields": ("stripe_session_id", "stripe_payment_intent_id", "receipt_url")},
        ),
        ("When", {"fields": ("created_at", "expires_at", "fulfilled_at", "key_shown_at")}),
    )
    list_select_related = ("user",)
    list_filter = ("status", "currency", "pack_name")
    date_hierarchy = "created_at"
    search_fields = (
        "user__email",
        "=public_id",
        "=stripe_session_id",
        "=stripe_payment_intent_id",
    )

    @admin.display(description="State", ordering="status")
    def state(self, purchase: Purchase) -> str:
        tone = TONES.get(Purchase.Status(purchase.status), "quiet")
        return columns.state(purchase.get_status_display().lower(), tone)

    def get_tools(self, request: HttpRequest, obj: Purchase) -> Sequence[Tool]:
        return (
            *super().get_tools(request, obj),
            list_tool("Wallet", "billing_wallet", user__id__exact=obj.user_id),
            list_tool("Ledger", "billing_ledgerentry", q=obj.public_id),
            list_tool("Stripe events", "billing_stripeevent", q=obj.stripe_session_id or ""),
        )
