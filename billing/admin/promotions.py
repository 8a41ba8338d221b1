"""Promotions: what packs give more for a while, and what pages say of it."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import ManyToManyField, Q
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.safestring import SafeString

from accounts.desk import columns
from accounts.desk.actions import Asked, Preview, ReasonForm, StaffAction, StaffActionsAdmin
from accounts.desk.filters import ConditionFilter
from accounts.time_zones import UTC
from billing.catalogue import promotion_terms as deeds
from billing.catalogue.pack_prices import list_prices, sold_packs
from billing.catalogue.promotions import PackOnSale, sell_with, terms_of
from billing.margin.price_changes import DAYS
from billing.margin.promotions import CreditCost, read_credit_cost
from billing.models import Promotion
from common import money

NOTHING = "–"
State = Promotion.State
TONES = {State.HIDDEN: "quiet", State.PLANNED: "waiting", State.RUNNING: "good"}
SHOWN = ("title", "title_de", "text", "text_de")


class PromotionForm(forms.ModelForm[Promotion]):
    """Refuses to change what customers were promised."""

    class Meta:
        widgets: ClassVar = dict.fromkeys(
            ("text", "text_de"),
            forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        )

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        ends_at: datetime | None = self.cleaned_data.get("ends_at")
        if ends_at and "ends_at" in self.changed_data and ends_at <= timezone.now():
            self.add_error("ends_at", "It would be over already.")
        if self.instance.pk is not None:
            self._compare(deeds.lock_promotion(self.instance.pk), ends_at)
        return cleaned

    def _compare(self, known: Promotion, ends_at: datetime | None) -> None:
        changed = [name for name in deeds.TERMS if name in self.changed_data]
        if changed and (why := deeds.why_terms_stay(known)):
            self.add_error(changed[0], why)
        if ends_at is None or "ends_at" not in self.changed_data:
            return
        if why := deeds.why_end_stays(known, ends_at):
            self.add_error("ends_at", why)


class StateFilter(ConditionFilter):
    """How promotions stand, as `Promotion.state_at` says."""

    title = "state"
    parameter_name = "stands"
    conditions: ClassVar = {
        "running": ("Running", Q(is_shown=True, starts_at__lte=Now(), ends_at__gt=Now())),
        "planned": ("Planned", Q(is_shown=True, starts_at__gt=Now(), ends_at__gt=Now())),
        "hidden": ("Hidden", Q(is_shown=False, ends_at__gt=Now())),
        "over": ("Over", Q(ends_at__lte=Now())),
    }


def say_instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def covered_packs(promotion: Promotion) -> list[PackOnSale]:
    """Return each pack on sale that it holds for, as it is sold under this promotion alone."""
    found = [sell_with(pack, [promotion]) for pack in sold_packs()]
    return [sold for sold in found if sold.promotion]


def price_lines(promotion: Promotion) -> list[tuple[PackOnSale, int, str]]:
    """Return each price of a pack that it holds for: the pack, the amount, the currency."""
    return [
        (sold, price.amount_cents, price.currency)
        for sold in covered_packs(promotion)
        for price in list_prices(sold.pack)
    ]


def basis_of(promotion: Promotion) -> object:
    """Return what a preview follows from: terms, words, instants, and the packs' prices."""
    words = [getattr(promotion, name) for name in SHOWN]
    prices = [(sold.pack.pk, sold.credits, *rest) for sold, *rest in price_lines(promotion)]
    when = promotion.starts_at, promotion.ends_at
    return terms_of(promotion), words, when, prices


def preview_promotions(
    request: HttpRequest, promotions: Sequence[Promotion], answers: dict[str, Any]
) -> Preview:
    """Show what pages would say, and what each pack would give, cost and leave."""
    if not request.user.has_perm("billing.view_margin"):
        raise PermissionDenied
    cost = read_credit_cost()
    [promotion] = promotions
    return Preview(
        title=f"Each pack without it → with it, at what credits cost in the last {DAYS} days",
        columns=("Pack", "Price", "Credits", "For a million credits", "Margin"),
        rows=[preview_row(*line, cost) for line in price_lines(promotion)],
        notes=preview_notes(promotion, cost),
        basis={promotion.pk: basis_of(promotion)},
    )


def preview_notes(promotion: Promotion, cost: CreditCost) -> list[str]:
    """Return what the table does not say."""
    when = f"From {say_instant(promotion.starts_at)} until {say_instant(promotion.ends_at)}."
    notes = [
        when,
        f"English: {promotion.title}. {promotion.text}",
        f"German: {promotion.title_de or 'as in English'}. {promotion.text_de or promotion.text}",
    ]
    if promotion.covers_amounts and promotion.bonus_percent:
        notes.append(f"Custom amounts give {promotion.bonus_percent} % more credits, too.")
    if not price_lines(promotion):
        notes.append("No pack on sale gives more by it.")
    if cost.each is None or not cost.is_whole:
        notes.append("The cost of some requests is not known, or there were none.")
    return notes


def preview_row(
    sold: PackOnSale, amount_cents: int, currency: str, cost: CreditCost
) -> tuple[str, ...]:
    both = (sold.pack.credits, sold.credits)
    units = (money.fine_price(money.per_million(amount_cents, each), currency) for each in both)
    margins = (say_share(cost.share_left(amount_cents, currency, each)) for each in both)
    return (
        sold.pack.name,
        money.price(amount_cents, currency),
        " → ".join(map(money.credits, both)),
        " → ".join(units),
        " → ".join(margins),
    )


def say_share(share: Decimal | None) -> str:
    return NOTHING if share is None else f"{share:.1f} %"


def show(asked: Asked[Promotion]) -> str:
    promotion = deeds.lock_promotion(asked.obj.pk)
    asked.check_seal(basis_of(promotion))
    deeds.show_promotion(promotion)
    return f"Shown from {say_instant(promotion.starts_at)} until {say_instant(promotion.ends_at)}."


def hide(asked: Asked[Promotion]) -> str:
    deeds.hide_promotion(deeds.lock_promotion(asked.obj.pk))
    return "Hidden: new orders have no bonus of it."


def end(asked: Asked[Promotion]) -> str:
    deeds.end_promotion(deeds.lock_promotion(asked.obj.pk))
    return "Ended: new orders have no bonus of it."


SHOW = StaffAction[Promotion](
    name="show",
    label="Show",
    explanation="Pages tell of it from its start until its end, and orders that are made meanwhile"
    " have its bonus. Preview it first.",
    apply=show,
    refusal=deeds.why_not_shown,
    form_class=ReasonForm,
    preview=preview_promotions,
    must_be_seen=True,
    is_for_one=True,
    asks_again=True,
)
HIDE = StaffAction[Promotion](
    name="hide",
    label="Hide",
    explanation="Pages say no more of it, and new orders have no bonus. Orders that were made keep"
    " theirs, paid or not.",
    apply=hide,
    refusal=deeds.why_not_hidden,
    is_for_one=True,
    asks_again=True,
)
END = StaffAction[Promotion](
    name="end",
    label="End now",
    explanation="It ends before customers were promised. Orders that were made keep their bonus,"
    " paid or not.",
    apply=end,
    refusal=deeds.why_not_ended,
    is_for_one=True,
    asks_again=True,
)


@admin.register(Promotion)
class PromotionAdmin(StaffActionsAdmin[Promotion]):
    """Editable, because staff decide what is sold; an order keeps what it was given.

    One that an order has its bonus of is not deleted, because the order refers to it.
    """

    kept_by = "orders"
    asks_again = True
    staff_actions = (SHOW, HIDE, END)
    form = PromotionForm
    list_display = ("name", "title", "bonus", "starts_at", "ends_at", "state")
    list_filter = (StateFilter,)
    search_fields = ("name", "title")
    fields = (
        *("name", "state", *SHOWN),
        *("bonus_percent", "packs", "covers_amounts", "starts_at", "ends_at"),
        *("banner", "banner_de"),
    )
    readonly_fields = ("state", "banner", "banner_de")
    formfield_overrides: ClassVar[Any] = {ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}

    def get_readonly_fields(
        self, request: HttpRequest, obj: Promotion | None = None
    ) -> tuple[str, ...]:
        is_open = obj is None or not deeds.why_terms_stay(obj)
        return self.readonly_fields if is_open else (*self.readonly_fields, *deeds.TERMS)

    @admin.display(description="Bonus", ordering="bonus_percent")
    def bonus(self, promotion: Promotion) -> str:
        return f"{promotion.bonus_percent} %" if promotion.bonus_percent else "announces only"

    @admin.display(description="State")
    def state(self, promotion: Promotion) -> str:
        found = deeds.state_now(promotion) if promotion.pk else State.HIDDEN
        return columns.state(found.value, TONES.get(found, "quiet"))

    @admin.display(description="As readers see it, as it was saved last")
    def banner(self, promotion: Promotion) -> str:
        return show_banner(promotion, "en")

    @admin.display(description="The same in German")
    def banner_de(self, promotion: Promotion) -> str:
        return show_banner(promotion, "de")


def show_banner(promotion: Promotion, language: str) -> SafeString | str:
    """Return the banner of the storefront in a language."""
    if not promotion.pk:
        return NOTHING
    with translation.override(language):
        context = {"promotion": promotion, "zone": UTC}
        return render_to_string("components/_promotion.html", context)
