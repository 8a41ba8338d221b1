"""What is on sale: packs, and models with their present rates."""

from dataclasses import dataclass

from billing.models import Pack, PublicModel
from billing.pricing import Rates
from billing.services.prices import current_prices


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A model and what its tokens cost now."""

    model: PublicModel
    rates: Rates


def read_packs() -> list[Pack]:
    """Return the packs on sale, in the order that staff gave them."""
    return list(Pack.objects.filter(is_active=True))


def read_priced_models() -> list[PricedModel]:
    """Return the active models that have a price; one without can't be called."""
    prices = current_prices()
    models = PublicModel.objects.filter(is_active=True, name__in=prices)
    return [PricedModel(model, prices[model.name]) for model in models]
