"""The action that reads a provider's price list: what would change, then the change."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest

from accounts.desk.actions import Asked, Preview, StaffAction
from billing.catalogue.costs import Costs, cost_nanos
from billing.margin.price_changes import DAYS, PriceChange, read_changes
from billing.margin.reads import NANOS
from common.money import MILLION
from proxy.admin.list_forms import ListForm
from proxy.models import Provider
from proxy.upstreams.providers.price_lists import CSV_COLUMNS, apply_import, plan_import

MOST_TOLD = 25
NOTHING = "–"


class PriceListForm(ListForm):
    """A price list, and how it names models."""

    shape = (
        "OpenRouter's or LiteLLM's JSON, cut to what you use, or CSV with the header"
        f" {','.join(CSV_COLUMNS)} in dollars per million tokens."
    )
    name_prefix = forms.CharField(
        label="Prefix",
        required=False,
        max_length=40,
        help_text="What the list puts before the provider's own names, such as azure/.",
    )


def preview_import(
    request: HttpRequest, providers: Sequence[Provider], answers: dict[str, Any]
) -> Preview:
    """Show each price that would change, and the margin that it would have left."""
    [provider] = providers
    planned = plan_import(provider, answers["text"], prefix=answers["name_prefix"])
    used: Any = {}
    if request.user.has_perm("billing.view_margin"):
        names = [change.route.model.name for change in planned.changes]
        used = read_changes(names, provider_name=provider.name)
    return Preview(
        title="What would change",
        columns=("Route", "Prompt", "Cached prompt", "Completion", f"Margin of {DAYS} days"),
        rows=[
            [
                f"{change.route.model} → {change.route.upstream_model}",
                *(
                    f"{_price(old)} → {_price(new)}" if old != new else _price(old)
                    for old, new in zip(_prices(change.before), _prices(change.after), strict=True)
                ),
                _margins(used.get(change.route.model.name), change.before, change.after),
            ]
            for change in planned.changes
        ],
        notes=[
            f"{len(planned.changes)} would change, {planned.unchanged} stay.",
            *(f"Not in the list: {route.upstream_model}." for route in planned.missing),
        ],
        basis={provider.pk: planned.basis},
    )


def import_prices(asked: Asked[Provider]) -> str:
    answers = asked.answers
    done = plan_import(asked.obj, answers["text"], prefix=answers["name_prefix"], is_locked=True)
    asked.check_seal(done.basis)
    apply_import(done)
    told = [
        f"{change.route.upstream_model}"
        f" {'/'.join(map(_price, _prices(change.before)))}"
        f" → {'/'.join(map(_price, _prices(change.after)))}"
        for change in done.changes
    ]
    changed = ", ".join([*told[:MOST_TOLD], *(["…"] if len(told) > MOST_TOLD else [])])
    return f"{len(done.changes)} purchase prices changed, {done.unchanged} as before. {changed}"


IMPORT_PRICES = StaffAction[Provider](
    name="import-prices",
    label="Import prices",
    explanation="Sets what we pay for each route that the list has, for requests from now on,"
    " once you have looked at what would change. A list that can't be read changes nothing.",
    permission="proxy.change_route",
    apply=import_prices,
    form_class=PriceListForm,
    is_for_one=True,
    preview=preview_import,
    must_be_seen=True,
)


def _prices(costs: Costs) -> tuple[int | None, ...]:
    return (costs.prompt_micros, costs.cached_prompt_micros, costs.completion_micros)


def _price(micros: int | None) -> str:
    return NOTHING if micros is None else f"{Decimal(micros) / MILLION:f}"


def _margins(used: PriceChange | None, before: Costs, after: Costs) -> str:
    if used is None:
        return NOTHING
    return f"{_share(used, before)} → {_share(used, after)}"


def _share(used: PriceChange, costs: Costs) -> str:
    """Return what the requests of the last days would have left at these purchase prices."""
    nanos, income = cost_nanos(costs, used.usage), used.actual.income
    return NOTHING if nanos is None or not income else f"{100 * (1 - nanos / NANOS / income):.1f} %"
