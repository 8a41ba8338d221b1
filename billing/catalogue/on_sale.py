"""What is on sale: packs, and models with their present rates."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.catalogue.model_prices import PlannedRates, read_schedules
from billing.catalogue.pricing import Rates
from billing.exceptions import PackUnavailable
from billing.models import Pack, PublicModel
from billing.models.catalogue import ABILITIES
from billing.token_classes import BY_NAME, CLASSES

SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")


# By what a model is found: what it can, and that it thinks.
TRAITS = {**ABILITIES, "reasoning": _("Reasoning first")}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model beside its price."""

    # How many tokens it reads at most, its answer included; None if nobody knows.
    context_tokens: int | None = None
    abilities: frozenset[str] = frozenset()
    # The providers that staff let customers know of.
    providers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A model and what its tokens cost now, and from when on they cost something else."""

    model: PublicModel
    rates: Rates
    facts: Facts
    planned: tuple[PlannedRates, ...] = ()

    @property
    def traits(self) -> dict[str, str | Promise]:
        """Return by what the model is found, each with its words."""
        own = self.facts.abilities | ({"reasoning"} if self.model.is_reasoning else set())
        return {name: words for name, words in TRAITS.items() if name in own}

    @property
    def searchable(self) -> str:
        """Return all by which the model is found, in lower case."""
        model = self.model
        described = f"{model.description} {model.description_de}"
        return f"{model.name} {model.display_name} {described} {model.owned_by}".lower()

    @property
    def own_rates(self) -> list[tuple[str, int]]:
        """Return label and rate of each class, but of those that cost what their parent does."""
        return [
            (each.label, getattr(self.rates, each.rate))
            for each in CLASSES
            if each.has_own_rate
            or getattr(self.rates, each.rate) != getattr(self.rates, BY_NAME[each.parent].rate)
        ]


def read_priced_models(facts: Mapping[str, Facts] | None = None) -> list[PricedModel]:
    """Return the active models that have a price; one without can't be called.

    `facts` are by name; else they are what staff entered.
    """
    schedules = read_schedules()
    known = facts or {}
    models = PublicModel.objects.filter(is_active=True, name__in=schedules)
    return [
        PricedModel(
            model,
            schedules[model.name].rates,
            known.get(model.name) or Facts(model.context_tokens, frozenset(model.abilities)),
            schedules[model.name].planned,
        )
        for model in models
    ]


def get_pack(slug: str) -> Pack:
    """Return the pack on sale under this slug. Raises PackUnavailable."""
    pack = SLUG.fullmatch(slug) and Pack.objects.filter(slug=slug, is_active=True).first()
    if not pack:
        raise PackUnavailable("This pack is not on sale.")
    return pack
