"""What pages say of a promotion: while it runs, to the minute, and the same as is sold."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client

from billing.models import AmountOffer, ModelPrice, Pack, Promotion
from tests.billing.views.conftest import MakeOrder
from tests.pages import words
from tests.promotions import make_promotion

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BANNERS = ("/", "/packs/", "/dashboard/")
GERMAN = {"accept-language": "de"}


@pytest.fixture
def promotion(starter: Pack) -> Promotion:
    """A fifth more from noon on, for an hour, in the only pack."""
    return make_promotion(
        title_de="Ein Fünftel mehr",
        text="For all packs.",
        starts_at=NOON,
        ends_at=NOON + timedelta(hours=1),
    )


@pytest.mark.parametrize("path", BANNERS)
def test_a_page_tells_of_it_from_the_minute_it_starts_until_the_minute_it_ends(
    as_alice: Client, promotion: Promotion, path: str
) -> None:
    seconds = (-1, 0, 3_599, 3_600)

    shown = []
    with time_machine.travel(NOON, tick=False) as clock:
        for second in seconds:
            clock.move_to(NOON + timedelta(seconds=second))
            page = words(as_alice.get(path))
            told = "For all packs. Until 2 Mar 2026, 13:00 UTC." in page
            assert told == (promotion.title in page)
            shown.append(told)

    assert shown == [False, True, True, False]


def test_each_figure_of_a_pack_is_of_what_is_sold(
    as_charlie: Client, starter: Pack, gpt4: ModelPrice
) -> None:
    make_promotion(bonus_percent=20)

    packs, models, model = (
        words(as_charlie.get(path)) for path in ("/packs/", "/models/", "/models/gpt-4/")
    )

    assert "1,200,000 credits 200,000 of them a bonus until " in packs
    assert "$7.50 per million credits" in packs
    # 1,200,000 credits pay as many tokens.
    assert "Buys about 1.2 million gpt-4" in packs
    # Of 1,600 credits each, 500 a day: a pack lasts 1.5 days.
    assert "Starter $12.00 $180.00 1 day" in packs
    assert "$7.50" in models
    assert "$7.50" in model


@time_machine.travel(NOON, tick=False)
def test_an_amount_tells_its_bonus(as_charlie: Client, promotion: Promotion) -> None:
    AmountOffer.objects.create(
        currency="usd", least_cents=1_000, most_cents=9_000, credits_per_unit=100, is_active=True
    )
    Promotion.objects.update(covers_amounts=True)

    page = words(as_charlie.get("/packs/"))

    assert "$10.00 buys 1,200 credits , 200 of them a bonus until 2 Mar 2026, 13:00 UTC," in page


@time_machine.travel(NOON, tick=False)
def test_it_is_read_in_german_and_in_the_readers_zone(
    as_charlie: Client, promotion: Promotion
) -> None:
    as_charlie.cookies["time_zone"] = "Europe/Berlin"

    page = as_charlie.get("/packs/", headers=GERMAN)

    said = words(page)
    assert "Ein Fünftel mehr For all packs. Bis 2. Mär 2026, 14:00 CET." in said
    assert "1.200.000 Credits davon 200.000 Bonus bis 2. Mär 2026, 14:00 CET" in said
    # A screen reader reads what has no German in English.
    assert '<span lang="en">For all packs.</span>' in page.content.decode()


@time_machine.travel(NOON, tick=False)
def test_of_several_the_largest_is_told_and_an_announcement_changes_no_figure(
    as_charlie: Client, promotion: Promotion
) -> None:
    small = make_promotion(
        title="New models", bonus_percent=0, starts_at=NOON, ends_at=NOON + timedelta(days=1)
    )

    both = words(as_charlie.get("/packs/"))
    Promotion.objects.filter(pk=promotion.pk).update(is_shown=False)
    one = words(as_charlie.get("/packs/"))

    assert small.title not in both
    assert small.title in one
    assert "1,000,000 credits" in one
    assert "bonus" not in one


@time_machine.travel(NOON, tick=False)
def test_what_staff_write_is_text(as_charlie: Client, promotion: Promotion) -> None:
    hit = "<script>hit()</script>{{ 7 }}"
    Promotion.objects.update(title=hit, text=hit, title_de=hit, text_de=hit)

    for path in ("/", "/packs/"):
        for headers in ({}, GERMAN):
            page = as_charlie.get(path, headers=headers).content.decode()
            assert page.count("&lt;script&gt;hit()&lt;/script&gt;{{ 7 }}") == 2
            assert "<script>hit()" not in page


def test_an_order_says_how_many_of_its_credits_are_a_bonus(
    as_alice: Client, order: MakeOrder, promotion: Promotion
) -> None:
    with_bonus = order("fulfilled", credits=1_200_000, bonus_credits=200_000, promotion=promotion)

    page = words(as_alice.get(f"/dashboard/orders/{with_bonus.public_id}/"))

    assert "Credits 1,200,000 200,000 of them a bonus" in page


@time_machine.travel(NOON, tick=False)
def test_the_page_before_payment_posts_what_it_shows(
    as_alice: Client, promotion: Promotion
) -> None:
    page = as_alice.get("/billing/checkout/starter/")
    Promotion.objects.update(is_shown=False)

    answer = as_alice.post("/billing/checkout/starter/", {"credits": "1200000"}, follow=True)

    assert "1,200,000 200,000 of them a bonus" in words(page)
    assert '<input type="hidden" name="credits" value="1200000">' in page.content.decode()
    assert "has changed since you looked. Nothing was ordered." in words(answer)


@pytest.mark.parametrize("forged", ["-1", "1e6", "１", "9" * 40, "", "1,000,000"])
def test_a_forged_number_of_credits_orders_nothing(
    as_alice: Client, starter: Pack, forged: str
) -> None:
    answer = as_alice.post("/billing/checkout/starter/", {"credits": forged}, follow=True)

    assert "has changed since you looked. Nothing was ordered." in words(answer)
    assert not starter.orders.exists()
