"""Wallets: balances, and what staff may do to them. The actions are in `wallet_actions.py`."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.formats import date_format

from accounts.desk import columns
from accounts.desk.actions import ReadOnlyWithActions, deeds_of
from accounts.desk.filters import ConditionFilter
from accounts.desk.pages import Matter, Tool, folded, link, list_tool, section
from billing.admin import wallet_reads as reads
from billing.admin.search import ExactSearch
from billing.admin.statements import statement_urls, statements_tool
from billing.admin.wallet_actions import ACTIONS, LIMITS
from billing.ledger.balances import read_balance
from billing.models import Wallet
from billing.notices.webhooks.reads import sent_to

FIGURES = (
    columns.number("posted_credits", "Posted"),
    columns.number("debt_credits", "Debt"),
    columns.number("credited_credits", "Ever credited"),
)


class DebtFilter(ConditionFilter):
    title = "debt"
    conditions = {
        "yes": ("In debt", Q(debt_credits__gt=0)),
        "no": ("None", Q(debt_credits=0)),
    }


@admin.register(Wallet)
class WalletAdmin(ExactSearch[Wallet], ReadOnlyWithActions[Wallet]):
    """Read-only, because balances change through the ledger alone."""

    change_form_template = "admin/billing/wallet/change_form.html"
    matters = (
        Matter("Wallets frozen", "state__exact=frozen", Q(state=Wallet.State.FROZEN)),
        DebtFilter.matter("Wallets in debt", "yes"),
    )
    staff_actions = ACTIONS
    ordering = ("-pk",)
    list_display = ("team", "state_shown", *FIGURES, "created_at")
    fieldsets: ClassVar[Any] = (
        section(None, "team", "state_shown", "frozen_reason"),
        folded("Limits of all keys together", *LIMITS),
        folded("Book of record", *FIGURES, "push", "created_at"),
    )
    list_select_related = ("team__person",)
    list_filter: ClassVar = ("state", DebtFilter)
    search_fields = ("team__memberships__user__email", "team__name")
    search_help_text = "How a customer's e-mail address or a team's name begins."
    links = (
        link("API keys", "accounts_apikey", team__id__exact="team_id"),
        link("Orders", "billing_order", team__id__exact="team_id"),
        statements_tool,
    )

    @admin.display(description="State", ordering="state")
    def state_shown(self, wallet: Wallet) -> str:
        if wallet.team.closed_at is not None:
            return columns.state(f"closed {date_format(wallet.team.closed_at)}", "quiet")
        if wallet.state == Wallet.State.FROZEN:
            return columns.state("frozen", "bad")
        if wallet.debt_credits:
            return columns.state("in debt", "waiting")
        return columns.state("active", "good")

    @admin.display(description="Known to Redis")
    def push(self, wallet: Wallet) -> str:
        if wallet.pushed_version == wallet.version:
            return f"yes, version {wallet.version}"
        return f"not yet: version {wallet.pushed_version} of {wallet.version}"

    def get_urls(self) -> list[URLPattern]:
        return [*statement_urls(self), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        wallet: Wallet | None = context.get("original")
        if wallet is not None:
            context |= describe_wallet(request, wallet)
        return super().render_change_form(request, context, *args, **kwargs)


def with_deeds(request: HttpRequest, rows: Iterable[Model]) -> list[tuple[Model, list[Tool]]]:
    """Return rows, each with what this member of staff may do to it now."""
    return [(row, deeds_of(request, row)) for row in rows]


def describe_wallet(request: HttpRequest, wallet: Wallet) -> dict[str, Any]:
    """Return what answers "where did my credits go?", as far as this member of staff may see it."""
    user = request.user
    sees_ledger = user.has_perm("billing.view_ledgerentry")
    sees_usage = user.has_perm("billing.view_usagerecord")
    sees_lots = user.has_perm("billing.view_lot")
    sees = {
        name: user.has_perm(right)
        for name, right in {
            "orders": "billing.view_order",
            "keys": "accounts.view_apikey",
            "members": "accounts.view_team",
            "mails": "billing.view_notice",
            "webhooks": "billing.view_notice",
            "notes": "billing.view_staffnote",
            "team_trail": "accounts.view_teamevent",
            "desk_trail": "accounts.view_auditline",
        }.items()
    }
    more: dict[str, Callable[[Wallet], Any]] = {
        "orders": lambda wallet: with_deeds(request, reads.recent_orders(wallet)),
        "keys": lambda wallet: with_deeds(request, reads.newest_keys(wallet)),
        "members": reads.members,
        "mails": reads.recent_mails,
        "webhooks": lambda wallet: sent_to(wallet.team),
        "notes": reads.notes,
        "team_trail": reads.team_trail,
        "desk_trail": reads.desk_trail,
    }
    return {
        **{name: read(wallet) if sees[name] else None for name, read in more.items()},
        "chart": reads.usage_chart(wallet) if sees_usage else None,
        "trouble": reads.trouble(wallet) if sees_usage else None,
        "refused": reads.refused(wallet) if sees_usage else None,
        "balance": read_balance(wallet),
        "totals": reads.sum_by_kind(wallet) if sees_ledger else None,
        "entries": reads.recent_entries(wallet) if sees_ledger else None,
        "lots": reads.open_lots(wallet) if sees_lots else None,
        "spending": reads.spending_by_model(wallet) if sees_usage else None,
        "records": reads.recent_usage(wallet) if sees_usage else None,
        "days": reads.SPENDING_DAYS,
        "now": timezone.now(),
        "all_entries": list_tool("All entries", "billing_ledgerentry", wallet__id__exact=wallet.pk),
        "all_lots": list_tool("All lots", "billing_lot", wallet__id__exact=wallet.pk),
        "all_usage": list_tool("All requests", "billing_usagerecord", wallet__id__exact=wallet.pk),
        "all_debits": list_tool("Debits", "billing_debit", wallet__id__exact=wallet.pk),
    }
