"""Orders: every order, with the snapshot of what was agreed."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q

from accounts.desk import columns
from accounts.desk.actions import ReadOnlyWithActions
from accounts.desk.filters import KeptValuesFilter
from accounts.desk.pages import Matter, link, list_tool, section
from billing.admin.order_actions import ACTIONS
from billing.admin.search import ExactSearch
from billing.models import Order

TONES = {
    Order.Status.OPEN: "waiting",
    Order.Status.PENDING: "waiting",
    Order.Status.FULFILLED: "good",
    Order.Status.REVIEW: "bad",
}


@admin.register(Order)
class OrderAdmin(ExactSearch[Order], ReadOnlyWithActions[Order]):
    whose = "team__memberships__user"
    matters = (Matter("Orders in review", "status__exact=review", Q(status=Order.Status.REVIEW)),)
    staff_actions = ACTIONS
    # By any other column every row would be read.
    sortable_by = ("id",)
    list_display = (
        "id",
        "created_at",
        "team",
        "pack_name",
        columns.number("credits", "Credits"),
        columns.price("amount_cents", "Amount"),
        "state",
        "fulfilled_at",
        columns.price("refunded_cents", "Refunded"),
    )
    fieldsets: ClassVar[Any] = (
        section(
            None,
            "public_id",
            "team",
            "buyer",
            "pack",
            "pack_name",
            columns.number("credits", "Credits"),
            columns.number("bonus_credits", "Of them a bonus"),
            "promotion",
            columns.price("amount_cents", "Amount"),
            "validity_days",
            "channel",
            "state",
            "review_reason",
        ),
        section(
            "Paid",
            columns.price("charged_cents", "Paid"),
            columns.price("discount_cents", "Discount"),
            columns.price("tax_cents", "Tax"),
        ),
        section(
            "Given back",
            columns.price("refunded_cents", "Refunded"),
            columns.price("disputed_cents", "Disputed"),
            columns.number("clawed_back_credits", "Credits clawed back"),
            columns.number("reinstated_credits", "Credits reinstated"),
        ),
        section(
            "At Stripe",
            "stripe_session_id",
            "stripe_payment_intent_id",
            "stripe_charge_id",
            "stripe_price_id",
        ),
        section("When", "created_at", "expires_at", "fulfilled_at", "key_shown_at"),
        section("From", "client_address"),
    )
    list_select_related = ("team__person", "buyer")
    list_filter = (
        "status",
        "channel",
        ("currency", KeptValuesFilter),
        ("pack_name", KeptValuesFilter),
    )
    date_hierarchy = "created_at"
    search_fields = (
        "team__memberships__user__email",
        "=public_id",
        "=stripe_session_id",
        "=stripe_payment_intent_id",
        "=stripe_charge_id",
    )
    links = (
        link("Wallet", "billing_wallet", team__id__exact="team_id"),
        link("Ledger", "billing_ledgerentry", q="public_id"),
        link("Refunds", "billing_refund", q="public_id"),
        link("Disputes", "billing_dispute", q="public_id"),
        lambda order: list_tool(
            "Stripe events",
            "billing_stripeevent",
            q=order.stripe_session_id or order.stripe_payment_intent_id,
        ),
    )

    @admin.display(description="State", ordering="status")
    def state(self, order: Order) -> str:
        tone = TONES.get(Order.Status(order.status), "quiet")
        return columns.state(order.get_status_display().lower(), tone)
