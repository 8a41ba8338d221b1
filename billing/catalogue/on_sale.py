"""What is on sale: packs, and models with their present rates."""

import re
from dataclasses import dataclass

from billing.catalogue.model_prices import current_prices
from billing.catalogue.pack_prices import packs_on_sale
from billing.catalogue.pricing import Rates
from billing.exceptions import PackUnavailable
from billing.models import Pack, PublicModel

SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A model and what its tokens cost now."""

    model: PublicModel
    rates: Rates

    @property
    def special_rates(self) -> list[tuple[str, int]]:
        """Return the classes that cost something else than what they are part of, in words."""
        rates = self.rates
        prompt, completion = rates.prompt_millicredits, rates.completion_millicredits
        classes = [
            ("written to a cache", rates.cache_write_millicredits, prompt),
            ("audio sent", rates.prompt_audio_millicredits, prompt),
            ("images sent", rates.prompt_image_millicredits, prompt),
            ("reasoning", rates.reasoning_millicredits, completion),
            ("audio answered", rates.completion_audio_millicredits, completion),
        ]
        return [(words, rate) for words, rate, parent in classes if rate != parent]


def read_packs() -> list[Pack]:
    """Return the packs on sale, in the order that staff gave them, with their other prices."""
    return list(packs_on_sale())


def read_priced_models() -> list[PricedModel]:
    """Return the active models that have a price; one without can't be called."""
    prices = current_prices()
    models = PublicModel.objects.filter(is_active=True, name__in=prices)
    return [PricedModel(model, prices[model.name]) for model in models]


def get_pack(slug: str) -> Pack:
    """Return the pack on sale under this slug. Raises PackUnavailable."""
    pack = SLUG.fullmatch(slug) and Pack.objects.filter(slug=slug, is_active=True).first()
    if not pack:
        raise PackUnavailable("This pack is not on sale.")
    return pack
