"""Prices of models: versions are added, never changed."""

from collections.abc import Mapping

from django.db import transaction
from django.db.models import Max

from billing.catalogue.pricing import Rates
from billing.exceptions import InvalidAmount
from billing.models import ModelPrice, PublicModel
from billing.token_classes import BY_NAME, CLASSES, PRICE_RATES

PROMPT, CACHED_PROMPT = BY_NAME["prompt"], BY_NAME["cached_prompt"]

# A completion of a million tokens at this rate still counts exactly in Redis.
MAX_RATE_MILLICREDITS = 1_000_000


@transaction.atomic
def set_price(model: PublicModel, **rates: int | None) -> ModelPrice:
    """Add a version of a model's price, for requests that are admitted from now on.

    `rates` are named as in ModelPrice. A class without a rate costs as much as its parent. Safe to
    repeat: the rates of the present version add nothing. Raises InvalidAmount.
    """
    rates = _check_rates(rates)
    PublicModel.objects.select_for_update().get(pk=model.pk)
    current = model.prices.order_by("-version").first()
    if current is not None and all(getattr(current, name) == rate for name, rate in rates.items()):
        return current
    version = (model.prices.aggregate(last=Max("version"))["last"] or 0) + 1
    return ModelPrice.objects.create(model=model, version=version, **rates)


def _check_rates(given: Mapping[str, int | None]) -> dict[str, int | None]:
    """Return a rate or None for every class. Raises InvalidAmount."""
    if unknown := given.keys() - set(PRICE_RATES):
        raise TypeError(f"There is no rate {', '.join(sorted(unknown))}.")
    rates = {name: given.get(name) for name in PRICE_RATES}
    for each in CLASSES:
        rate = rates[each.price_rate]
        if rate is None and each.has_own_rate:
            raise InvalidAmount(f"{each.label} needs a rate.")
        if rate is not None and not 0 <= rate <= MAX_RATE_MILLICREDITS:
            raise InvalidAmount(
                f"A rate must be between 0 and {MAX_RATE_MILLICREDITS:,} millicredits."
            )
    cached, prompt = rates[CACHED_PROMPT.price_rate], rates[PROMPT.price_rate]
    if cached is not None and prompt is not None and cached > prompt:
        raise InvalidAmount("Cached prompt tokens can't cost more than prompt tokens.")
    return rates


def current_prices() -> dict[str, Rates]:
    """Return the present rates of every active model that has a price, by its public name."""
    newest = (
        ModelPrice.objects.filter(model__is_active=True)
        .order_by("model_id", "-version")
        .distinct("model_id")
        .select_related("model")
    )
    return {price.model.name: rates_of(price) for price in newest}


def rates_of(price: ModelPrice) -> Rates:
    """Return the rates of a price version; a class without a rate has that of its parent."""
    rates: dict[str, int] = {}
    for each in CLASSES:
        own = getattr(price, each.price_rate)
        rates[each.rate] = rates[BY_NAME[each.parent].rate] if own is None else own
    return Rates(price_id=price.pk, version=price.version, **rates)
