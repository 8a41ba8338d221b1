"""Once an order has a promotion's bonus, its terms stay, whatever asks for another value."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.models import Order, Pack, Promotion
from tests import desk
from tests.promotions import make_promotion
from tests.racing import in_background

pytestmark = pytest.mark.django_db


@pytest.fixture
def promotion() -> Promotion:
    """A fifth more of the pack that is there."""
    made = make_promotion()
    made.packs.add(make_pack("small"))
    return made


def make_pack(slug: str) -> Pack:
    return Pack.objects.create(name=slug, slug=slug, credits=100, price_cents=900)


def sell_with(promotion: Promotion) -> Order:
    """Give its bonus to an order."""
    order = desk.make_customer("alice@example.com").order
    order.credits, order.bonus_credits, order.promotion = 120, 20, promotion
    order.save()
    return order


def change(promotion: Promotion, **values: object) -> None:
    Promotion.objects.filter(pk=promotion.pk).update(**values)


def change_pack(promotion: Promotion) -> None:
    promotion.packs.through.objects.filter(promotion=promotion).update(pack=make_pack("large"))


OTHER_TERMS: dict[str, Callable[[Promotion], object]] = {
    "percent": lambda it: change(it, bonus_percent=it.bonus_percent + 1),
    "amounts": lambda it: change(it, covers_amounts=not it.covers_amounts),
    "start": lambda it: change(it, starts_at=it.starts_at - timedelta(hours=1)),
    "one pack more": lambda it: it.packs.add(make_pack("large")),
    "no pack": lambda it: it.packs.clear(),
    "another pack": change_pack,
}


def terms(promotion: Promotion) -> list[Any]:
    promotion.refresh_from_db()
    return [
        promotion.bonus_percent,
        promotion.covers_amounts,
        promotion.starts_at,
        sorted(promotion.packs.values_list("slug", flat=True)),
    ]


@pytest.mark.parametrize("act", OTHER_TERMS.values(), ids=OTHER_TERMS)
def test_terms_that_an_order_has_stay(
    act: Callable[[Promotion], object], promotion: Promotion
) -> None:
    before = terms(promotion)
    sell_with(promotion)

    with pytest.raises(IntegrityError, match="so its terms stay"), transaction.atomic():
        act(promotion)

    assert terms(promotion) == before


@pytest.mark.parametrize("act", OTHER_TERMS.values(), ids=OTHER_TERMS)
def test_terms_that_no_order_has_are_changed(
    act: Callable[[Promotion], object], promotion: Promotion
) -> None:
    before = terms(promotion)
    sell_with(make_promotion(name="Another"))

    act(promotion)

    assert terms(promotion) != before


def test_a_pack_that_was_another_promotions_is_not_given_to_one_that_an_order_has(
    promotion: Promotion,
) -> None:
    other = make_promotion(name="Another")
    other.packs.add(make_pack("large"))
    sell_with(promotion)

    with pytest.raises(IntegrityError, match="so its terms stay"), transaction.atomic():
        other.packs.through.objects.filter(promotion=other).update(promotion=promotion)


def test_its_words_its_end_and_whether_it_is_shown_are_no_terms(promotion: Promotion) -> None:
    sell_with(promotion)

    promotion.title, promotion.text = "A fifth", "Until the end of the hour."
    promotion.ends_at, promotion.is_shown = timezone.now(), False
    promotion.save()

    promotion.refresh_from_db()
    assert (promotion.title, promotion.is_shown) == ("A fifth", False)


@pytest.mark.django_db(transaction=True)
def test_a_change_waits_for_an_order_that_is_being_made(promotion: Promotion) -> None:
    refusals: list[str] = []

    def raise_bonus() -> None:
        try:
            change(promotion, bonus_percent=50)
        except IntegrityError as error:
            refusals.append(str(error))

    with in_background(raise_bonus) as start, transaction.atomic():
        sell_with(promotion)
        start()
        assert refusals == []

    assert "so its terms stay" in refusals[0]
    assert terms(promotion)[0] == 20
