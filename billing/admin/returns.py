"""Refunds that we asked for, and disputes as Stripe last had them."""

from typing import Any, ClassVar

from django.contrib import admin

from accounts.desk import columns
from accounts.desk.pages import ReadOnlyAdmin, link
from billing.admin.search import ExactSearch
from billing.models import Dispute, Refund
from common import money

TONES = {
    Refund.Status.OPEN: "waiting",
    Refund.Status.PENDING: "waiting",
    Refund.Status.SUCCEEDED: "good",
    Refund.Status.REFUSED: "bad",
    Refund.Status.FAILED: "bad",
}


CUSTOMER = columns.text("order.team", "Customer", name="customer")
AMOUNT = columns.price("amount_cents", "Amount", currency="order.currency")
LINKS = (
    link("Order", "billing_order", q="order.public_id"),
    link("Wallet", "billing_wallet", team__id__exact="order.team_id"),
)


@admin.register(Refund)
class RefundAdmin(ExactSearch[Refund], ReadOnlyAdmin[Refund]):
    whose = "order__team__memberships__user"
    list_display = ("id", "created_at", CUSTOMER, AMOUNT, "state", "actor", "reason")
    fields: ClassVar[Any] = (
        "public_id",
        "order",
        AMOUNT,
        "is_unused_part",
        "kind",
        "reason",
        "actor",
        "state",
        "outcome",
        "stripe_refund_id",
        "debit",
        "attempts",
        "next_attempt_at",
        "created_at",
    )
    list_select_related = ("order__team__person", "actor")
    list_filter = ("status", "kind")
    date_hierarchy = "created_at"
    search_fields = ("=public_id", "=stripe_refund_id", "=order__public_id")
    links = LINKS

    @admin.display(description="State", ordering="status")
    def state(self, refund: Refund) -> str:
        return columns.state(refund.get_status_display(), TONES[Refund.Status(refund.status)])


@admin.register(Dispute)
class DisputeAdmin(ExactSearch[Dispute], ReadOnlyAdmin[Dispute]):
    """Shows the reason and the deadline; evidence is given in Stripe's dashboard."""

    whose = "order__team__memberships__user"

    list_display = (
        "stripe_dispute_id",
        "created_at",
        CUSTOMER,
        "amount",
        "reason",
        "state",
        "respond_until",
    )
    fields: ClassVar[Any] = (
        "stripe_dispute_id",
        "order",
        "amount",
        "reason",
        "state",
        "respond_until",
        "created_at",
    )
    list_select_related = ("order__team__person",)
    list_filter = ("status", "reason")
    date_hierarchy = "created_at"
    search_fields = ("=stripe_dispute_id", "=order__public_id", "order__buyer__email")
    links = LINKS

    @admin.display(description="Amount", ordering="amount_cents")
    def amount(self, dispute: Dispute) -> str:
        return money.price(dispute.amount_cents, dispute.currency or dispute.order.currency)

    @admin.display(description="State", ordering="status")
    def state(self, dispute: Dispute) -> str:
        tone = "waiting" if dispute.is_open else "bad" if dispute.is_counted else "good"
        return columns.state(dispute.status.replace("_", " "), tone)
