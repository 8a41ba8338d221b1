"""Prices of models: versions are added, never changed, and start at once or at an instant.

Of a model's versions that have started, the one that started last is in force.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from billing.catalogue.pricing import Rates
from billing.exceptions import InvalidAmount, PriceNotPlanned
from billing.models import ModelPrice, PriceCancellation, PublicModel
from billing.token_classes import BY_NAME, CLASSES, PRICE_RATES

PROMPT, CACHED_PROMPT = BY_NAME["prompt"], BY_NAME["cached_prompt"]

# A completion of a million tokens at this rate still counts exactly in Redis.
MAX_RATE_MILLICREDITS = 1_000_000
# How long before its start a price is planned or cancelled at the latest. Web processes read the
# catalogue every few seconds, and know of it by then.
NOTICE = timedelta(minutes=1)
FURTHEST = timedelta(days=366)
MOST_SHOWN = 20
LATEST = ("-starts_at", "-version")


@dataclass(frozen=True, slots=True)
class PlannedRates:
    """The rates of a version that has not started."""

    starts_at: datetime
    rates: Rates


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a model costs now, and from when on it costs something else, the next one first."""

    rates: Rates
    planned: tuple[PlannedRates, ...] = ()


def set_price(model: PublicModel, **rates: int | None) -> ModelPrice:
    """Add a version of a model's price, for requests that are admitted from now on.

    `rates` are named as in ModelPrice. A class without a rate costs as much as its parent. Safe to
    repeat: the rates in force add nothing. Raises InvalidAmount.
    """
    return _add_version(model, None, rates)


def plan_price(model: PublicModel, starts_at: datetime, /, **rates: int | None) -> ModelPrice:
    """Add a version that is in force from an instant on. Raises PriceNotPlanned too."""
    _check_start(starts_at, timezone.now())
    return _add_version(model, starts_at, rates)


@transaction.atomic
def _add_version(
    model: PublicModel, starts_at: datetime | None, given: Mapping[str, int | None]
) -> ModelPrice:
    rates = _check_rates(given)
    PublicModel.objects.select_for_update().get(pk=model.pk)
    now = timezone.now()
    before = _held(model).filter(starts_at__lte=starts_at or now).order_by(*LATEST).first()
    if before is not None and all(getattr(before, name) == rate for name, rate in rates.items()):
        return before
    if starts_at is not None and before is not None and before.starts_at == starts_at:
        raise PriceNotPlanned(f"Version {before.version} starts at that instant: cancel it first.")
    version = (model.prices.aggregate(last=Max("version"))["last"] or 0) + 1
    if starts_at is None:
        # Not before those that it replaces: the clock that set them may be ahead of ours.
        at_once = _held(model).filter(starts_at__lt=F("created_at") + NOTICE)
        starts_at = max(now, at_once.aggregate(last=Max("starts_at"))["last"] or now)
    return ModelPrice.objects.create(model=model, version=version, starts_at=starts_at, **rates)


def _check_start(starts_at: datetime, now: datetime) -> None:
    if not now + NOTICE <= starts_at <= now + FURTHEST:
        raise PriceNotPlanned(
            "A price starts at once, or in a minute at the earliest and a year at the latest."
        )


@transaction.atomic
def cancel_price(price: ModelPrice) -> PriceCancellation:
    """Keep a planned price from starting. Safe to repeat. Raises PriceNotPlanned."""
    PublicModel.objects.select_for_update().get(pk=price.model_id)
    cancelled = PriceCancellation.objects.filter(price=price).first()
    if cancelled is not None:
        return cancelled
    if price.starts_at < timezone.now() + NOTICE:
        raise PriceNotPlanned("It has started, or starts within a minute. Set another price.")
    return PriceCancellation.objects.create(price=price)


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


def _held(model: PublicModel) -> QuerySet[ModelPrice]:
    """Return the versions of a model that were not cancelled."""
    return model.prices.filter(cancellation=None)


def in_force(model: PublicModel) -> ModelPrice | None:
    """Return the version whose price a request has that is admitted now; None without one."""
    return _held(model).filter(starts_at__lte=timezone.now()).order_by(*LATEST).first()


def lock_versions(model: PublicModel) -> list[int]:
    """Keep a model's price from changing until the transaction ends; as `known_versions`."""
    PublicModel.objects.select_for_update().get(pk=model.pk)
    return known_versions(model)


def known_versions(model: PublicModel) -> list[int]:
    """Return the version in force, if there is one, and those that are planned."""
    present = in_force(model)
    return [each.version for each in (*([present] if present else ()), *planned(model))]


def planned(model: PublicModel) -> QuerySet[ModelPrice]:
    """Return the versions of a model that have not started, the next one first."""
    return _held(model).filter(starts_at__gt=timezone.now()).order_by("starts_at", "version")


def read_history(model: PublicModel) -> QuerySet[ModelPrice]:
    """Return the latest versions of a model's price, those that are planned first."""
    return _held(model).order_by(*LATEST)[:MOST_SHOWN]


def in_force_of(outer: str) -> QuerySet[ModelPrice]:
    """Return the version in force of the model that a query names `outer`, for a Subquery."""
    started = ModelPrice.objects.filter(
        model=OuterRef(outer), cancellation=None, starts_at__lte=timezone.now()
    )
    return started.order_by(*LATEST)


def read_schedules() -> dict[str, Schedule]:
    """Return what every active model costs that has a price in force, by its public name."""
    now = timezone.now()
    present = PublicModel.objects.annotate(price=Subquery(in_force_of("pk").values("pk")[:1]))
    rows = (
        ModelPrice.objects.filter(
            Q(starts_at__gt=now) | Q(pk__in=present.values("price")),
            model__is_active=True,
            cancellation=None,
        )
        .order_by("starts_at", "version")
        .select_related("model")
    )
    found: dict[str, list[ModelPrice]] = {}
    for price in rows:
        found.setdefault(price.model.name, []).append(price)
    return {
        name: Schedule(
            rates_of(first), tuple(PlannedRates(each.starts_at, rates_of(each)) for each in later)
        )
        for name, (first, *later) in found.items()
        if first.starts_at <= now
    }


def rates_of(price: ModelPrice) -> Rates:
    """Return the rates of a price version; a class without a rate has that of its parent."""
    rates: dict[str, int] = {}
    for each in CLASSES:
        own = getattr(price, each.price_rate)
        rates[each.rate] = rates[BY_NAME[each.parent].rate] if own is None else own
    return Rates(price_id=price.pk, version=price.version, **rates)
