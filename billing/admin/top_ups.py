"""Customers at Stripe, automatic top-ups, their consents, and an action that switches them off."""

from typing import Any, ClassVar

from django.contrib import admin

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.pages import ReadOnlyAdmin, link, list_tool
from billing.models import AutoTopUp, StripeCustomer, TopUpConsent, TopUpPayment
from billing.top_ups.agreement import switch_off_by_staff

CUSTOMER = columns.text("wallet.team", "Customer", name="customer")
BELOW = columns.number("threshold_credits", "Below")
CEILING = columns.price("monthly_ceiling_cents", "At most in a month")
TONES = {
    AutoTopUp.State.ON: "good",
    AutoTopUp.State.WAITING: "waiting",
    AutoTopUp.State.OFF: "quiet",
}


def switch_off(asked: Asked[AutoTopUp]) -> str:
    switch_off_by_staff(asked.obj, actor=asked.actor, reason=asked.reason)
    return "Switched off."


SWITCH_OFF = StaffAction[AutoTopUp](
    name="switch-off",
    label="Switch off",
    explanation="Nothing more is charged by itself; an order that is open may still be paid. The"
    " customer sees that it is off, not why, and can switch it on again.",
    apply=switch_off,
    refusal=lambda top_up: "It is off." if top_up.state == AutoTopUp.State.OFF else "",
)


@admin.register(AutoTopUp)
class AutoTopUpAdmin(ReadOnlyWithActions[AutoTopUp]):
    staff_actions: ClassVar[tuple[StaffAction[AutoTopUp], ...]] = (SWITCH_OFF,)
    list_display = (
        "id",
        CUSTOMER,
        "shown_state",
        "pack",
        BELOW,
        CEILING,
        "card_label",
        "off_reason",
        "off_at",
    )
    fields: ClassVar[Any] = (
        "public_id",
        "wallet",
        "shown_state",
        "off_reason",
        "off_detail",
        "off_at",
        "pack",
        BELOW,
        CEILING,
        "paused_until",
        "consent",
        "card_label",
        "stripe_customer_id",
        "stripe_payment_method_id",
        "stripe_setup_session_id",
        "created_at",
    )
    list_select_related = ("wallet__team__person", "pack")
    list_filter = ("state", "off_reason")
    search_fields = (
        "wallet__team__memberships__user__email",
        "=stripe_customer_id",
        "=stripe_payment_method_id",
    )
    links = (
        link("Wallet", "billing_wallet", team__id__exact="wallet.team_id"),
        link("Consents", "billing_topupconsent", wallet__id__exact="wallet_id"),
        lambda top_up: list_tool(
            "Orders",
            "billing_order",
            team__id__exact=top_up.wallet.team_id,
            channel__exact="top_up",
        ),
    )

    @admin.display(description="State", ordering="state")
    def shown_state(self, top_up: AutoTopUp) -> str:
        return columns.state(top_up.get_state_display(), TONES[AutoTopUp.State(top_up.state)])


@admin.register(TopUpConsent)
class TopUpConsentAdmin(ReadOnlyAdmin[TopUpConsent]):
    list_display = (
        "id",
        "given_at",
        CUSTOMER,
        "version",
        "pack_name",
        columns.price("amount_cents", "Price"),
        BELOW,
        CEILING,
        "address",
    )
    fields: ClassVar[Any] = (
        "wallet",
        "given_by",
        "given_at",
        "address",
        "version",
        "text",
        "pack_name",
        columns.number("credits", "Credits"),
        columns.price("amount_cents", "Price"),
        BELOW,
        CEILING,
    )
    list_select_related = ("wallet__team__person",)
    date_hierarchy = "given_at"
    search_fields = ("wallet__team__memberships__user__email",)


@admin.register(TopUpPayment)
class TopUpPaymentAdmin(ReadOnlyAdmin[TopUpPayment]):
    list_display = ("id", "order", "decline_code")
    fields: ClassVar[Any] = ("order", "decline_code", columns.facts("request", "Asked of Stripe"))
    list_select_related = ("order__team__person",)
    search_fields = ("=order__public_id", "order__buyer__email")


@admin.register(StripeCustomer)
class StripeCustomerAdmin(ReadOnlyAdmin[StripeCustomer]):
    list_display = ("id", CUSTOMER, "stripe_customer_id", "email", "created_at")
    fields = ("wallet", "public_id", "stripe_customer_id", "generation", "email", "created_at")
    list_select_related = ("wallet__team__person",)
    search_fields = ("wallet__team__memberships__user__email", "=stripe_customer_id", "email")
