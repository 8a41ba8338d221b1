"""Prices that start later: which one is in force when, and until when they can be cancelled."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.catalogue.model_prices import (
    NOTICE,
    cancel_price,
    in_force,
    plan_price,
    planned,
    read_schedules,
    set_price,
)
from billing.exceptions import PriceNotPlanned
from billing.models import ModelPrice, PriceCancellation, PublicModel

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
# PostgreSQL's own clock refuses to cancel what started before it.
NOON = datetime(2036, 3, 2, 12, tzinfo=UTC)


def rates(prompt: int) -> dict[str, int]:
    return {
        "prompt_rate_millicredits": prompt,
        "cached_prompt_rate_millicredits": 0,
        "completion_rate_millicredits": prompt,
    }


def prompt_rate(model: PublicModel) -> int:
    present = read_schedules()[model.name].rates
    price = in_force(model)
    assert price is not None
    assert present.price_id == price.pk
    return present.prompt_millicredits


@pytest.fixture
def model() -> PublicModel:
    """1,000 millicredits a token since noon."""
    model = PublicModel.objects.create(name="gpt-4")
    with time_machine.travel(NOON, tick=False):
        set_price(model, **rates(1_000))
    return model


def test_a_planned_price_is_in_force_from_its_instant_on(model: PublicModel) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        plan_price(model, NOON + HOUR, **rates(2_000))
        told = read_schedules()[model.name].planned
        clock.shift(HOUR - timedelta(milliseconds=1))
        before = prompt_rate(model)
        clock.shift(timedelta(milliseconds=1))
        after = prompt_rate(model)

        assert [(each.starts_at, each.rates.prompt_millicredits) for each in told] == [
            (NOON + HOUR, 2_000)
        ]
        assert (before, after) == (1_000, 2_000)
        assert not read_schedules()[model.name].planned


def test_a_price_that_is_set_meanwhile_holds_until_the_planned_one_starts(
    model: PublicModel,
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        plan_price(model, NOON + HOUR, **rates(2_000))
        set_price(model, **rates(3_000))
        now = prompt_rate(model)
        clock.shift(HOUR)
        then = prompt_rate(model)

    assert (now, then) == (3_000, 2_000)


def test_a_price_that_was_cancelled_never_starts(model: PublicModel) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        price = plan_price(model, NOON + HOUR, **rates(2_000))
        cancel_price(price)
        cancel_price(price)
        told = list(planned(model))
        clock.shift(2 * HOUR)

        assert (told, prompt_rate(model)) == ([], 1_000)
        assert PriceCancellation.objects.count() == 1


@pytest.mark.parametrize("left", [NOTICE - timedelta(seconds=1), timedelta(0), -HOUR])
def test_it_is_not_cancelled_once_processes_may_have_it_in_force(
    left: timedelta, model: PublicModel
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        price = plan_price(model, NOON + HOUR, **rates(2_000))
        clock.move_to(price.starts_at - left)
        with pytest.raises(PriceNotPlanned):
            cancel_price(price)

    assert not PriceCancellation.objects.exists()


def test_the_database_cancels_no_price_that_has_started() -> None:
    price = set_price(PublicModel.objects.create(name="gpt-4"), **rates(1_000))

    with pytest.raises(IntegrityError), transaction.atomic():
        PriceCancellation.objects.create(price=price)


def test_a_cancellation_stays(model: PublicModel) -> None:
    price = plan_price(model, timezone.now() + HOUR, **rates(2_000))
    cancel_price(price)

    with pytest.raises(IntegrityError), transaction.atomic():
        PriceCancellation.objects.all().delete()


@pytest.mark.parametrize("away", [-HOUR, timedelta(0), NOTICE / 2, timedelta(days=400)])
def test_a_price_starts_neither_in_the_past_nor_in_years(
    away: timedelta, model: PublicModel
) -> None:
    with time_machine.travel(NOON, tick=False), pytest.raises(PriceNotPlanned):
        plan_price(model, NOON + away, **rates(2_000))

    assert ModelPrice.objects.count() == 1


def test_two_prices_can_not_start_at_one_instant(model: PublicModel) -> None:
    with time_machine.travel(NOON, tick=False):
        first = plan_price(model, NOON + HOUR, **rates(2_000))
        again = plan_price(model, NOON + HOUR, **rates(2_000))
        with pytest.raises(PriceNotPlanned, match="cancel it first"):
            plan_price(model, NOON + HOUR, **rates(3_000))
        cancel_price(first)
        other = plan_price(model, NOON + HOUR, **rates(3_000))

    assert again == first
    assert other.version == 3


def test_a_clock_that_is_behind_does_not_hide_a_new_price(model: PublicModel) -> None:
    with time_machine.travel(NOON - timedelta(seconds=2), tick=False) as clock:
        # Nothing has started by this clock, so there is nothing to compare with.
        set_price(model, **rates(2_000))
        clock.move_to(NOON + HOUR)

        assert prompt_rate(model) == 2_000
