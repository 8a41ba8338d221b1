"""Versions of models' prices: set, planned, cancelled, and what they would bring in."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils import timezone

from accounts.desk import columns
from accounts.desk.actions import Asked, Preview, ReadOnlyWithActions, ReasonForm, StaffAction
from billing.catalogue.model_prices import (
    cancel_price,
    in_force,
    known_versions,
    lock_versions,
    plan_price,
    planned,
    rates_of,
    set_price,
)
from billing.catalogue.pricing import MILLICREDITS
from billing.margin.price_changes import DAYS, Reckoned, read_changes
from billing.margin.rates import COST_CURRENCY
from billing.models import ModelPrice, PriceCancellation, PublicModel
from billing.token_classes import CLASSES
from common import money

NOTHING = "–"
RATES = {each.price_rate: each for each in CLASSES if each.has_own_rate}
# An empty rate is that of the class which this one is a part of.
CLASS_RATES = {each.price_rate: each for each in CLASSES if not each.has_own_rate}
CACHED = "cached_prompt_rate_millicredits"
HELP = {
    CACHED: "At most the prompt's rate.",
    "completion_rate_millicredits": (
        "All in millicredits per token: 1000 is one credit for each token."
    ),
}
RATE_COLUMNS = (
    columns.number("prompt_rate_millicredits", "Prompt"),
    columns.number(CACHED, "Cached"),
    columns.number("completion_rate_millicredits", "Completion"),
)
# A thousand credits per token.
MOST_MILLICREDITS = 1_000 * MILLICREDITS


class PriceForm(ReasonForm):
    """The rates of a price's next version."""

    field_order = (*RATES, *CLASS_RATES, "starts_at", "reason")

    starts_at = forms.DateTimeField(
        label="From",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="UTC. Empty: at once.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, each in (RATES | CLASS_RATES).items():
            self.fields[name] = forms.IntegerField(
                label=each.label,
                min_value=0,
                max_value=MOST_MILLICREDITS,
                required=each.has_own_rate,
                help_text=HELP.get(name, f"Empty: as much as {each.parent}."),
            )
        self.order_fields(self.field_order)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        prompt, cached = cleaned.get("prompt_rate_millicredits"), cleaned.get(CACHED)
        if prompt is not None and cached is not None and cached > prompt:
            self.add_error(CACHED, "A cached prompt token can't cost more than a prompt token.")
        return cleaned


def find_current_rates(models: Sequence[PublicModel]) -> dict[str, Any]:
    """Return the rates in force as initial values, if a single model is priced."""
    price = in_force(models[0]) if len(models) == 1 else None
    return {rate: getattr(price, rate) for rate in (*RATES, *CLASS_RATES)} if price else {}


def add_version(asked: Asked[PublicModel]) -> str:
    starts_at = asked.answers["starts_at"]
    asked.check_seal(_basis(asked.answers, lock_versions(asked.obj)))
    rates = rates_in(asked.answers)
    price = (
        plan_price(asked.obj, starts_at, **rates) if starts_at else set_price(asked.obj, **rates)
    )
    when = f", from {say_instant(price.starts_at)}" if starts_at else ""
    prompt, cached, completion = (f"{asked.answers[rate]:,}" for rate in RATES)
    return (
        f"Price version {price.version}{when}: prompt {prompt}, cached {cached},"
        f" completion {completion} millicredits per token."
        + "".join(
            f" {each.label}: {asked.answers[rate]:,}."
            for rate, each in CLASS_RATES.items()
            if asked.answers[rate] is not None
        )
    )


def rates_in(answers: dict[str, Any]) -> dict[str, int | None]:
    """Return the rates that a form was filled in with."""
    return {rate: answers[rate] for rate in (*RATES, *CLASS_RATES)}


def _basis(answers: dict[str, Any], versions: list[int]) -> object:
    """Return what a new price follows from: the answers, and the versions that there are."""
    return rates_in(answers), answers["starts_at"], versions


def say_instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def preview_prices(
    request: HttpRequest, models: Sequence[PublicModel], answers: dict[str, Any]
) -> Preview:
    """Show what the last days' requests bring in at the price in force, and at the new one."""
    if not request.user.has_perm("billing.view_margin"):
        raise PermissionDenied
    new = rates_of(ModelPrice(**rates_in(answers), version=0, pk=0))
    changes = read_changes([model.name for model in models])
    rows, notes = [], []
    for model in models:
        change, present = changes.get(model.name), in_force(model)
        if change is None:
            notes.append(f"{model.name} was not asked in these days.")
            continue
        if not change.is_whole:
            notes.append(f"Of {model.name}, the income or cost of some requests is not known.")
        before = change.at(rates_of(present)) if present else None
        after = change.at(new)
        rows.append(
            [
                model.name,
                f"{change.actual.requests:,}",
                *(
                    f"{say(before) if before else NOTHING} → {say(after)}"
                    for say in (_credits, _income, _margin)
                ),
                _amount(after.cost),
            ]
        )
    return Preview(
        title=f"The last {DAYS} days at both prices",
        columns=("Model", "Requests", "Credits", "Income", "Margin", "Cost"),
        rows=rows,
        notes=notes,
        basis={model.pk: _basis(answers, known_versions(model)) for model in models},
    )


def _amount(amount: Decimal | None) -> str:
    return NOTHING if amount is None else money.amount(round(amount * money.MILLION), COST_CURRENCY)


def _credits(reckoned: Reckoned) -> str:
    return money.credits(reckoned.charged_credits)


def _income(reckoned: Reckoned) -> str:
    return _amount(reckoned.income)


def _margin(reckoned: Reckoned) -> str:
    share = reckoned.share_percent
    return _amount(reckoned.margin) + ("" if share is None else f" ({share:.1f} %)")


def has_begun(price: ModelPrice) -> str:
    """Say why a price can't be cancelled, or nothing."""
    if PriceCancellation.objects.filter(price=price).exists():
        return "It is cancelled."
    return "" if price.starts_at > timezone.now() else "It has started."


def cancel_version(asked: Asked[ModelPrice]) -> str:
    cancel_price(asked.obj)
    return f"Version {asked.obj.version} does not start {say_instant(asked.obj.starts_at)}."


def find_planned(model: PublicModel) -> str:
    """Say what is planned for a model already."""
    return " ".join(
        f"Version {price.version} starts {say_instant(price.starts_at)}."
        for price in planned(model)
    )


SET_PRICE = StaffAction[PublicModel](
    name="set-price",
    label="Set price",
    explanation="Adds a version, which starts at once or later. Requests that were admitted before"
    " keep the price they saw.",
    permission="billing.add_modelprice",
    apply=add_version,
    form_class=PriceForm,
    get_initial=find_current_rates,
    get_note=find_planned,
    preview=preview_prices,
)
CANCEL_PRICE = StaffAction[ModelPrice](
    name="cancel",
    label="Cancel",
    explanation="The price does not start; what is in force then stays in force.",
    permission="billing.add_modelprice",
    apply=cancel_version,
    refusal=has_begun,
)


@admin.register(ModelPrice)
class ModelPriceAdmin(ReadOnlyWithActions[ModelPrice]):
    """A price is never edited: "Set price" on its model adds a version. A planned one can be
    cancelled.
    """

    staff_actions = (CANCEL_PRICE,)
    list_display = ("model", "version", *RATE_COLUMNS, "starts_at", "state")
    list_select_related = ("model", "cancellation")
    date_hierarchy = "starts_at"
    search_fields = ("model__name",)

    @admin.display(description="State")
    def state(self, price: ModelPrice) -> str:
        if hasattr(price, "cancellation"):
            return columns.state("cancelled", "quiet")
        if price.starts_at > timezone.now():
            return columns.state("planned", "waiting")
        return columns.state("started", "good")
