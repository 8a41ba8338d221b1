"""Prices of models: versions are added, never changed."""

from django.db import transaction
from django.db.models import Max

from billing.catalogue.pricing import Rates
from billing.exceptions import InvalidAmount
from billing.models import ModelPrice, PublicModel

# A completion of a million tokens at this rate still counts exactly in Redis.
MAX_RATE_MILLICREDITS = 1_000_000


@transaction.atomic
def set_price(
    model: PublicModel,
    *,
    prompt_rate_millicredits: int,
    cached_prompt_rate_millicredits: int,
    completion_rate_millicredits: int,
    cache_write_rate_millicredits: int | None = None,
    prompt_audio_rate_millicredits: int | None = None,
    prompt_image_rate_millicredits: int | None = None,
    reasoning_rate_millicredits: int | None = None,
    completion_audio_rate_millicredits: int | None = None,
) -> ModelPrice:
    """Add a version of a model's price; requests admitted from now on keep it.

    A class without a rate costs as much as what it is part of. The same rates as the present
    version add nothing. Raises InvalidAmount.
    """
    rates = {
        "prompt_rate_millicredits": prompt_rate_millicredits,
        "cached_prompt_rate_millicredits": cached_prompt_rate_millicredits,
        "completion_rate_millicredits": completion_rate_millicredits,
        "cache_write_rate_millicredits": cache_write_rate_millicredits,
        "prompt_audio_rate_millicredits": prompt_audio_rate_millicredits,
        "prompt_image_rate_millicredits": prompt_image_rate_millicredits,
        "reasoning_rate_millicredits": reasoning_rate_millicredits,
        "completion_audio_rate_millicredits": completion_audio_rate_millicredits,
    }
    if any(rate is not None and not 0 <= rate <= MAX_RATE_MILLICREDITS for rate in rates.values()):
        raise InvalidAmount(f"A rate must be between 0 and {MAX_RATE_MILLICREDITS:,} millicredits.")
    if cached_prompt_rate_millicredits > prompt_rate_millicredits:
        raise InvalidAmount("Cached prompt tokens can't cost more than prompt tokens.")
    PublicModel.objects.select_for_update().get(pk=model.pk)
    current = model.prices.order_by("-version").first()
    if current is not None and all(getattr(current, name) == rate for name, rate in rates.items()):
        return current
    version = (model.prices.aggregate(last=Max("version"))["last"] or 0) + 1
    return ModelPrice.objects.create(model=model, version=version, **rates)


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
    """Return a price version as the arithmetic takes it."""
    prompt, completion = price.prompt_rate_millicredits, price.completion_rate_millicredits
    return Rates(
        price_id=price.pk,
        version=price.version,
        prompt_millicredits=prompt,
        cached_prompt_millicredits=price.cached_prompt_rate_millicredits,
        cache_write_millicredits=_or(price.cache_write_rate_millicredits, prompt),
        prompt_audio_millicredits=_or(price.prompt_audio_rate_millicredits, prompt),
        prompt_image_millicredits=_or(price.prompt_image_rate_millicredits, prompt),
        completion_millicredits=completion,
        reasoning_millicredits=_or(price.reasoning_rate_millicredits, completion),
        completion_audio_millicredits=_or(price.completion_audio_rate_millicredits, completion),
    )


def _or(rate: int | None, parent: int) -> int:
    return parent if rate is None else rate
