"""Usage records: what each request consumed, was charged, and why."""

from decimal import Decimal
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.desk import columns
from accounts.desk.filters import Lookups
from accounts.desk.long_lists import AgeFilter, LongListAdmin
from accounts.desk.pages import ReadOnlyAdmin, link, section
from billing.admin.search import search_rows
from billing.models import KeyWriteOff, PublicModel, UsageRecord
from billing.token_classes import CLASSES
from common import money


class ModelFilter(admin.SimpleListFilter):
    """Filters by model. The choices come from the catalogue: the table of usage is too long."""

    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Lookups:
        return [(name, name) for name in PublicModel.objects.values_list("name", flat=True)]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[UsageRecord]
    ) -> QuerySet[UsageRecord] | None:
        return queryset.filter(model_name=self.value()) if self.value() else None


@admin.register(UsageRecord)
class UsageRecordAdmin(LongListAdmin[UsageRecord]):
    instant = "ended_at"
    list_display = (
        "request_id",
        "ended_at",
        columns.text("wallet.team", "Customer", name="owner"),
        "model_name",
        columns.number("charged_credits", "Charged"),
        columns.number("prompt_tokens", "Prompt"),
        columns.number("completion_tokens", "Completion"),
        "ending",
        columns.number("write_off_credits", "Written off"),
    )
    fieldsets: ClassVar[Any] = (
        section(
            None,
            "request_id",
            "wallet",
            "api_key",
            "member",
            "model_name",
            "provider_name",
            "endpoint",
            "is_stream",
            "attempts",
            "outcome",
            "source",
        ),
        section("Counted", *(columns.number(each.count, each.label) for each in CLASSES)),
        section(
            "Charged",
            "price",
            *(
                columns.number(f"price.{each.price_rate}", f"{each.label}, rate (millicredits)")
                for each in CLASSES
            ),
            columns.number("held_credits", "Held"),
            columns.number("target_credits", "Target"),
            columns.number("charged_credits", "Charged"),
            columns.number("write_off_credits", "Written off"),
            description="Charged and written off add up to the target, which is what the tokens"
            " cost at the price version the request was admitted under.",
        ),
        section(
            "When", "started_at", "ended_at", columns.number("first_byte_ms", "First byte (ms)")
        ),
    )
    # Only for those who may see margins.
    cost = section(
        "What it cost us",
        columns.number("cost_nanos", "Cost (billionths of the currency)"),
        "income",
        description="Income is what its credits had been sold for, without tax and discount.",
    )
    list_select_related = ("wallet__team__person",)
    # Each has an index, so that a choice without requests is answered at once, too.
    list_filter: ClassVar = ("outcome", "source", ModelFilter, AgeFilter)
    search_fields = ("request_id",)
    links = (link("Ledger entry", "billing_ledgerentry", q="request_id"),)
    search_help_text = "A request's id, or how a customer's e-mail address begins."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageRecord], search_term: str
    ) -> tuple[QuerySet[UsageRecord], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return search_rows(self, request, queryset, term, request_id=term), False

    def get_fieldsets(self, request: HttpRequest, obj: UsageRecord | None = None) -> Any:
        sees_margin = request.user.has_perm("billing.view_margin")
        return [*self.fieldsets, self.cost] if sees_margin else self.fieldsets

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow the filter by user, which a user's page links to."""
        return lookup == "wallet__team__id__exact" or super().lookup_allowed(lookup, value, request)

    @admin.display(description="Income")
    def income(self, record: UsageRecord) -> str:
        if record.income_micros is None:
            return "not known: its credits were sold before this was kept"
        amounts = [
            money.with_symbol(f"{Decimal(micros).scaleb(-6):,f}", currency)
            for currency, micros in record.income_micros.items()
        ]
        return ", ".join(amounts) or "none: its credits were a gift"

    @admin.display(description="Outcome", ordering="outcome")
    def ending(self, record: UsageRecord) -> str:
        return f"{record.get_outcome_display()}, {record.get_source_display()}".lower()


@admin.register(KeyWriteOff)
class KeyWriteOffAdmin(ReadOnlyAdmin[KeyWriteOff]):
    list_display = (
        "api_key",
        columns.text("api_key.team", "Owner", name="owner"),
        "hour",
        columns.number("credits", "Not charged"),
    )
    list_select_related = ("api_key__team__person",)
    # There is an index of hours alone.
    ordering = ("-hour",)
    sortable_by = ("hour",)
    date_hierarchy = "hour"
    search_fields = ("=api_key__hint", "api_key__created_by__email")
    links = (link("Usage", "billing_usagerecord", api_key__id__exact="api_key_id"),)
