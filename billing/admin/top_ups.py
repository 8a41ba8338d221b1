"""Customers at Stripe, automatic top-ups, their consents, and an action that switches them off."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.pages import ReadOnlyAdmin, Tool, list_tool
from billing.models import AutoTopUp, StripeCustomer, TopUpConsent, TopUpPayment
from billing.top_ups.agreement import switch_off_by_staff
from common import money

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
    permission="billing.change_autotopup",
    apply=switch_off,
    refusal=lambda top_up: "It is off." if top_up.state == AutoTopUp.State.OFF else "",
)


@admin.register(AutoTopUp)
class AutoTopUpAdmin(ReadOnlyWithActions[AutoTopUp]):
    staff_actions: ClassVar[tuple[StaffAction[AutoTopUp], ...]] = (SWITCH_OFF,)
    list_display = (
        "id",
        "customer",
        "shown_state",
        "pack",
        columns.number("threshold_credits", "Below"),
        "ceiling",
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
        columns.number("threshold_credits", "Below"),
        "ceiling",
        "paused_until",
        "consent",
        "card_label",
        "stripe_customer_id",
        "stripe_payment_method_id",
        "stripe_setup_session_id",
        "created_at",
    )
    list_select_related = ("wallet__user", "pack")
    list_filter = ("state", "off_reason")
    search_fields = ("wallet__user__email", "=stripe_customer_id", "=stripe_payment_method_id")

    @admin.display(description="Customer", ordering="wallet__user__email")
    def customer(self, top_up: AutoTopUp) -> str:
        return top_up.wallet.user.email

    @admin.display(description="State", ordering="state")
    def shown_state(self, top_up: AutoTopUp) -> str:
        return columns.state(top_up.get_state_display(), TONES[AutoTopUp.State(top_up.state)])

    @admin.display(description="At most in a month", ordering="monthly_ceiling_cents")
    def ceiling(self, top_up: AutoTopUp) -> str:
        if top_up.monthly_ceiling_cents is None:
            return self.empty_value_display
        return money.price(top_up.monthly_ceiling_cents, top_up.currency)

    def get_tools(self, request: HttpRequest, obj: AutoTopUp) -> Sequence[Tool]:
        return (
            *super().get_tools(request, obj),
            list_tool("Wallet", "billing_wallet", user__id__exact=obj.wallet.user_id),
            list_tool("Consents", "billing_topupconsent", q=obj.wallet.user.email),
            list_tool(
                "Orders",
                "billing_order",
                q=obj.wallet.user.email,
                channel__exact="top_up",
            ),
        )


@admin.register(TopUpConsent)
class TopUpConsentAdmin(ReadOnlyAdmin[TopUpConsent]):
    list_display = (
        "id",
        "given_at",
        "customer",
        "version",
        "pack_name",
        columns.price("amount_cents", "Price"),
        columns.number("threshold_credits", "Below"),
        columns.price("monthly_ceiling_cents", "At most in a month"),
        "address",
    )
    fields: ClassVar[Any] = (
        "wallet",
        "given_at",
        "address",
        "version",
        "text",
        "pack_name",
        columns.number("credits", "Credits"),
        columns.price("amount_cents", "Price"),
        columns.number("threshold_credits", "Below"),
        columns.price("monthly_ceiling_cents", "At most in a month"),
    )
    list_select_related = ("wallet__user",)
    date_hierarchy = "given_at"
    search_fields = ("wallet__user__email",)

    @admin.display(description="Customer", ordering="wallet__user__email")
    def customer(self, consent: TopUpConsent) -> str:
        return consent.wallet.user.email


@admin.register(TopUpPayment)
class TopUpPaymentAdmin(ReadOnlyAdmin[TopUpPayment]):
    list_display = ("id", "order", "decline_code")
    fields = ("order", "decline_code", "request")
    list_select_related = ("order__user",)
    search_fields = ("=order__public_id", "order__user__email")


@admin.register(StripeCustomer)
class StripeCustomerAdmin(ReadOnlyAdmin[StripeCustomer]):
    list_display = ("id", "customer", "stripe_customer_id", "email", "created_at")
    fields = ("wallet", "public_id", "stripe_customer_id", "generation", "email", "created_at")
    list_select_related = ("wallet__user",)
    search_fields = ("wallet__user__email", "=stripe_customer_id", "email")

    @admin.display(description="Customer", ordering="wallet__user__email")
    def customer(self, customer: StripeCustomer) -> str:
        return customer.wallet.user.email
