"""The forms that customers fill in."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Self

from django import forms
from django.http import QueryDict
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.catalogue.custom_amounts import Quote, quote_amount
from billing.catalogue.on_sale import TRAITS, PricedModel
from billing.catalogue.pack_prices import Price, list_prices, sold_packs, to_cents
from billing.catalogue.promotions import PackOnSale
from billing.catalogue.worth import Workload, price_of_million_tokens
from billing.exceptions import AmountRefused, InvalidAmount
from billing.models import AmountOffer, Pack
from billing.models.catalogue import MOST_TOKENS
from billing.top_ups.agreement import Terms, consent_version
from common import money
from common.credits import MAX_CREDITS
from common.currencies import decimal_places
from common.number_fields import AmountField, WholeNumberField

# The largest id that PostgreSQL's bigint holds; beyond it a query would fail.
MAX_ID = 2**63 - 1


class RefundForm(forms.Form):
    """Confirms a refund. Because of `once`, a second press of the button refunds nothing."""

    once = forms.UUIDField(widget=forms.HiddenInput)


class WorkloadForm(forms.Form):
    """Asks for so many requests a day of one kind, to reckon what they cost."""

    model = forms.ChoiceField(label=_("Model"))
    prompt_tokens = WholeNumberField(
        label=_("Tokens in, per request"), min_value=1, max_value=MOST_TOKENS, initial=1_000
    )
    completion_tokens = WholeNumberField(
        label=_("Tokens out, per request"), min_value=0, max_value=MOST_TOKENS, initial=300
    )
    requests_per_day = WholeNumberField(
        label=_("Requests a day"), min_value=1, max_value=100_000_000, initial=500
    )

    @classmethod
    def of_query(cls, models: Sequence[PricedModel], query: QueryDict) -> Self:
        """Return the form as it was filled in, or with an example if it was not."""
        names = [each.model.name for each in models]
        initial = {name: field.initial for name, field in cls.base_fields.items()}
        asked = {name: query[name] for name in initial if name in query}
        form = cls({**initial, "model": names[0] if names else "", **asked})
        choices = form.fields["model"]
        assert isinstance(choices, forms.ChoiceField)  # noqa: S101 - tells the type checker
        choices.choices = [(name, name) for name in names]
        choices.required = bool(names)
        return form

    @property
    def workload(self) -> Workload:
        """Return what was asked for; only after `is_valid`."""
        given = self.cleaned_data
        return Workload(
            given["prompt_tokens"], given["completion_tokens"], given["requests_per_day"]
        )


class AmountForm(forms.Form):
    """Asks what an amount of money buys."""

    currency = forms.ChoiceField(label=_("Currency"))
    amount = AmountField(label=_("Amount"), max_digits=12, decimal_places=3, min_value=0)

    def __init__(self, offers: Sequence[AmountOffer], query: QueryDict) -> None:
        first = offers[0]
        least = Decimal(money.plain(first.least_cents, first.currency))
        asked = {name: query[name] for name in ("currency", "amount") if name in query}
        super().__init__(
            {
                "currency": first.currency,
                # As the reader's language writes it, for that is how it is read.
                "amount": number_format(least),
                **asked,
            }
        )
        self.quote: Quote | None = None
        choices = self.fields["currency"]
        assert isinstance(choices, forms.ChoiceField)  # noqa: S101 - tells the type checker
        choices.choices = [(each.currency, each.currency.upper()) for each in offers]

    def clean_amount(self) -> Decimal:
        """Quote the amount, once the currency is known."""
        amount: Decimal = self.cleaned_data["amount"]
        if currency := self.cleaned_data.get("currency"):
            try:
                self.quote = quote_amount(currency, to_cents(amount, currency))
            except (AmountRefused, InvalidAmount) as refusal:
                raise forms.ValidationError(str(refusal)) from refusal
        return amount


class ModelFilterForm(forms.Form):
    """Filters the list of models, and chooses the pack in whose money they are told."""

    # Filters of one value that a phone folds away; capabilities are many.
    SINGLE = ("context", "price", "provider")

    q = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=80,
        widget=forms.TextInput(attrs={"type": "search"}),
    )
    context = forms.TypedChoiceField(
        label=_("Context of at least"),
        required=False,
        coerce=int,
        choices=[
            ("", _("Any context")),
            *(
                (size, format_lazy(_("{thousands},000 tokens"), thousands=size // 1000))
                for size in (16_000, 128_000, 200_000)
            ),
            (1_000_000, _("1 million tokens")),
        ],
    )
    pack = forms.ChoiceField(label=_("Prices at"), required=False)
    # Without a pack on sale there is no money to name it in.
    price = forms.DecimalField(
        label=_("Prompt price at most"),
        required=False,
        min_value=0,
        max_digits=12,
        decimal_places=6,
        help_text=_("Per million tokens, in the pack’s money."),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    provider = forms.ChoiceField(label=_("Served by"), required=False)
    can = forms.MultipleChoiceField(
        label=_("Capabilities"),
        required=False,
        choices=list(TRAITS.items()),
        widget=forms.CheckboxSelectMultiple,
    )

    @classmethod
    def of_query(
        cls, packs: Sequence[PackOnSale], models: Iterable[PricedModel], query: QueryDict
    ) -> Self:
        """Return the form as it was filled in; without a pack, with the highlighted one."""
        rows = [sold.pack for sold in packs]
        preferred = next((pack.slug for pack in rows if pack.is_highlighted), None)
        given = query.copy()
        given["pack"] = query.get("pack") or preferred or next((pack.slug for pack in rows), "")
        form = cls(given)
        named = sorted({name for each in models for name in each.facts.providers})
        form._offer(
            "pack",
            [
                (pack.slug, f"{pack.name}, {money.price(pack.price_cents, pack.currency)}")
                for pack in rows
            ],
        )
        form._offer("provider", [("", _("Any provider")), *((name, name) for name in named)])
        return form

    def _offer(self, name: str, choices: list[tuple[str, str | Promise]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - tells the type checker
        field.choices = choices

    @property
    def active_filters(self) -> int:
        """How many of the filters that a phone folds away are set."""
        asked = self.cleaned_data
        single = sum(asked.get(name) not in (None, "") for name in self.SINGLE)
        return single + len(asked.get("can", []))

    @property
    def is_unfolded(self) -> bool:
        """Whether one of them is wrong, so that its words must be seen."""
        return any(name in self.errors for name in (*self.SINGLE, "can"))

    def choose(self, models: Iterable[PricedModel], sold: PackOnSale | None) -> list[PricedModel]:
        """Return the models that fit all that was asked for; prices are those of the pack."""
        return [each for each in models if self._fits(each, sold)]

    def _fits(self, priced: PricedModel, sold: PackOnSale | None) -> bool:
        asked, facts = self.cleaned_data, priced.facts
        return (
            (facts.context_tokens or 0) >= (asked["context"] or 0)
            and set(asked["can"]) <= priced.traits.keys()
            and (not asked["provider"] or asked["provider"] in facts.providers)
            and all(word in priced.searchable for word in asked["q"].lower().split())
            and (asked["price"] is None or sold is None or self._is_cheap(priced, sold))
        )

    def _is_cheap(self, priced: PricedModel, sold: PackOnSale) -> bool:
        cents = price_of_million_tokens(sold, priced.rates.prompt_millicredits)
        most: Decimal = self.cleaned_data["price"].scaleb(decimal_places(sold.pack.currency))
        return cents <= most


class RedeemForm(forms.Form):
    """Type a code."""

    code = forms.CharField(
        max_length=60,
        widget=forms.TextInput(
            attrs={
                "placeholder": "XXXX-XXXX-XXXX-XXXX",
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "class": "mono",
            }
        ),
    )


class TopUpForm(forms.Form):
    """Choose what is bought, when, and up to how much; and agree to it."""

    offer = forms.ChoiceField(
        label=_("Buy this pack"),
        error_messages={"invalid_choice": _("That offer has changed. Please choose again.")},
    )
    threshold_credits = WholeNumberField(
        label=_("When my balance falls below this many credits"),
        min_value=1,
        max_value=MAX_CREDITS,
    )
    ceiling = AmountField(
        label=_("Spend at most, in a calendar month"),
        min_value=0,
        max_digits=12,
        decimal_places=3,
        help_text=_("In the pack's currency. Months start on the 1st, 00:00 UTC."),
    )
    agrees = forms.BooleanField(
        error_messages={"required": _("Without your consent nothing can be charged.")}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer = self.fields["offer"]
        assert isinstance(offer, forms.ChoiceField)  # noqa: S101 - tells the type checker
        offer.choices = offer_choices()

    def clean(self) -> None:
        if self.data.get("words") != consent_version():
            raise forms.ValidationError(
                gettext("What you agree to has new words. Please read them again.")
            )

    def terms(self) -> Terms:
        """Return what was chosen, once the form is valid. Raises InvalidAmount."""
        slug, currency = self.cleaned_data["offer"].split(":")[:2]
        return Terms(
            pack_slug=slug,
            currency=currency,
            threshold_credits=self.cleaned_data["threshold_credits"],
            monthly_ceiling_cents=to_cents(self.cleaned_data["ceiling"], currency),
        )


def offer_of(pack: Pack, price: Price) -> str:
    """Return the value of an offer in the form: all its terms, so that no other is agreed to."""
    return f"{pack.slug}:{price.currency}:{price.amount_cents}:{pack.credits}:{pack.validity_days}"


def offer_choices() -> list[tuple[str, str]]:
    """Name each pack on sale in each of its currencies, as it is sold without a promotion: that is
    what is agreed to. A top-up that is ordered while one runs gets its bonus, too.
    """
    return [
        (
            offer_of(pack, price),
            gettext("{name}: {credits} credits for {currency}").format(
                name=pack.name,
                credits=money.credits(pack.credits),
                currency=money.price(price.amount_cents, price.currency),
            ),
        )
        for pack in sold_packs()
        for price in list_prices(pack)
    ]
