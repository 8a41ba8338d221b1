"""The pages that sell."""

import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.contrib.staticfiles import finders
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.catalogue.model_prices import plan_price, set_price
from billing.models import AmountOffer, AmountStep, ModelPrice, Order, Pack, PublicModel
from billing.rollups.published import LEAST_REQUESTS
from proxy.models import Provider, Route
from tests.pages import Answer, words
from tests.speeds import add_speed


def names(answer: Answer) -> list[str]:
    """Return the models that the list of models shows."""
    return re.findall(r'<a href="/models/[^"]+/"><code>(.*?)</code>', answer.content.decode())


def price(name: str, *, prompt: int, cached: int | None = None, completion: int = 1_000) -> None:
    """Put a model on sale, or give it a new price."""
    set_price(
        PublicModel.objects.get_or_create(name=name)[0],
        prompt_rate_millicredits=prompt,
        cached_prompt_rate_millicredits=prompt if cached is None else cached,
        completion_rate_millicredits=completion,
    )


def test_it_sells_a_pack_with_its_price_and_its_price_per_million(
    as_charlie: Client, starter: Pack
) -> None:
    Pack.objects.filter(pk=starter.pk).update(credits=2_000_000)

    page = as_charlie.get("/packs/").content.decode()

    assert "2,000,000" in page
    assert "$9.00" in page
    assert "$4.50 per million" in page
    assert "Valid for 30 days" in page
    assert 'action="/billing/checkout/starter/"' in page


def test_it_hides_a_pack_that_is_off_sale(as_charlie: Client, starter: Pack) -> None:
    Pack.objects.filter(pk=starter.pk).update(is_active=False)

    page = as_charlie.get("/packs/").content.decode()

    assert "Starter" not in page
    assert "No packs are on sale right now" in page


def test_a_pack_says_how_many_tokens_it_buys(
    as_charlie: Client, starter: Pack, gpt4: ModelPrice
) -> None:
    price("small", prompt=75)
    price("middle", prompt=400)
    price("gratis", prompt=0)

    page = words(as_charlie.get("/packs/"))

    # 1,000,000 credits at 1 and at 0.075 a token, rounded down.
    assert "Buys about 1 million gpt-4 or 13 million small input tokens" in page


def test_a_workload_is_told_in_credits_money_and_days(
    as_charlie: Client, starter: Pack, gpt4: ModelPrice
) -> None:
    asked: dict[str, str | int] = {
        "model": "gpt-4",
        "prompt_tokens": 1_000,
        "completion_tokens": 250,
        "requests_per_day": 40,
    }

    page = words(as_charlie.get("/packs/", asked))

    # 1,000 × 1 + 250 × 2 = 1,500 credits; a credit of Starter costs $0.000009.
    assert "One request takes 1,500 credits ; a day of them takes 60,000 ." in page
    assert "Starter $13.50 $16.20 16 days" in page


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"requests_per_day": 1, "prompt_tokens": 1, "completion_tokens": 0}, "expire after 30"),
        ({"requests_per_day": 1_000_000}, "Less than a day"),
    ],
)
def test_a_workload_says_when_a_pack_does_not_fit_it(
    as_charlie: Client, starter: Pack, gpt4: ModelPrice, asked: dict[str, int], told: str
) -> None:
    assert told in words(as_charlie.get("/packs/", asked))


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "no-such-model"},
        {"prompt_tokens": "-1"},
        {"prompt_tokens": "1e400"},
        {"completion_tokens": "9" * 40},
        {"requests_per_day": "²"},
        {"requests_per_day": ""},
    ],
)
def test_a_workload_that_makes_no_sense_is_refused_beside_its_field(
    as_charlie: Client, starter: Pack, gpt4: ModelPrice, asked: dict[str, str]
) -> None:
    answer = as_charlie.get("/packs/", asked)

    assert answer.status_code == 400
    assert "Please correct the marked fields" in words(answer)
    assert "One request takes" not in words(answer)


def test_it_lists_a_model_with_its_price_in_money_and_credits(
    as_charlie: Client, starter: Pack, gpt4: ModelPrice
) -> None:
    price("gpt-4", prompt=3_000, cached=75, completion=12_000)

    page = words(as_charlie.get("/models/"))

    # A million credits of Starter cost $9.00.
    assert "gpt-4 $27.00 3M credits $0.6750 75k credits $108.00 12M credits" in page


def test_prices_are_told_in_the_money_of_the_pack_that_is_asked_for(
    as_charlie: Client, starter: Pack, gpt4: ModelPrice
) -> None:
    Pack.objects.create(
        name="Big", slug="big", credits=10_000_000, price_cents=5_000, is_highlighted=True
    )

    preferred = words(as_charlie.get("/models/"))
    asked = words(as_charlie.get("/models/?pack=starter"))

    assert "$5.00 1M credits" in preferred
    assert "$9.00 1M credits" in asked


def test_without_a_pack_on_sale_prices_are_told_in_credits(
    as_charlie: Client, gpt4: ModelPrice
) -> None:
    assert "gpt-4 1M credits 500k credits 2M credits" in words(as_charlie.get("/models/"))


def test_models_are_found_by_words_and_by_what_they_read(
    as_charlie: Client, gpt4: ModelPrice
) -> None:
    price("claude-long", prompt=1_000)
    PublicModel.objects.filter(name="claude-long").update(
        description="Patient reader", context_tokens=200_000
    )

    assert names(as_charlie.get("/models/?q=READER+patient")) == ["claude-long"]
    assert names(as_charlie.get("/models/?q=gpt")) == ["gpt-4"]
    assert names(as_charlie.get("/models/?context=128000")) == ["claude-long"]
    assert "No model fits" in words(as_charlie.get("/models/?q=nothing+like+it"))
    assert as_charlie.get("/models/?pack=none").status_code == 400
    assert as_charlie.get("/models/?q=%00").status_code == 400


@pytest.fixture
def three(db: None) -> None:
    """Models of three kinds: $2, $20 and $200 for a million prompt tokens at Fair's $2."""
    Pack.objects.create(name="Fair", slug="fair", credits=1_000_000, price_cents=200)
    price("seer", prompt=1_000)
    price("thinker", prompt=10_000)
    price("gpt-4o", prompt=100_000)
    PublicModel.objects.filter(name="seer").update(
        abilities=["images", "tools"], context_tokens=200_000
    )
    PublicModel.objects.filter(name="thinker").update(abilities=["tools"], is_reasoning=True)
    for provider, is_named, model, upstream_model in (
        ("lens", True, "seer", "seer-1"),
        ("discreet", False, "thinker", "thinker-1"),
        ("lens", True, "gpt-4o", "gpt-4o-2024-08-06"),
    ):
        Route.objects.create(
            provider=Provider.objects.get_or_create(
                name=provider, base_url="https://api.example.com/v1", is_named=is_named
            )[0],
            model=PublicModel.objects.get(name=model),
            upstream_model=upstream_model,
        )


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("asked", "fitting"),
    [
        ("", {"seer", "thinker", "gpt-4o"}),
        ("can=tools", {"seer", "thinker", "gpt-4o"}),
        # Of gpt-4o nobody entered anything: its provider's name tells.
        ("can=images", {"seer", "gpt-4o"}),
        ("can=images&can=json", {"gpt-4o"}),
        ("can=reasoning", {"thinker"}),
        ("can=audio", set()),
        ("price=20", {"seer", "thinker"}),
        ("price=19.99", {"seer"}),
        ("price=0", set()),
        ("provider=lens", {"seer", "gpt-4o"}),
        ("can=tools&context=128000&price=5&provider=lens&q=see&pack=fair", {"seer"}),
        ("can=reasoning&provider=lens", set()),
    ],
)
def test_filters_of_models_are_combined_in_the_address(
    as_charlie: Client, asked: str, fitting: set[str]
) -> None:
    page = as_charlie.get(f"/models/?{asked}")

    assert set(names(page)) == fitting
    assert ("No model fits" in words(page)) == (not fitting)
    assert page.status_code == 200


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    "asked", ["can=flying", "price=-1", "price=much", "price=1e400", "provider=discreet", "pack=x"]
)
def test_a_filter_that_makes_no_sense_is_refused(as_charlie: Client, asked: str) -> None:
    page = as_charlie.get(f"/models/?{asked}")

    assert page.status_code == 400
    assert names(page) == []


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("q=see&pack=fair", ""),
        ("context=128000", "1 active"),
        ("can=tools&can=images&price=5&provider=lens&q=see", "4 active"),
    ],
)
def test_the_number_of_active_filters_is_told(as_charlie: Client, asked: str, count: str) -> None:
    page = as_charlie.get(f"/models/?{asked}")

    summary = page.content.decode().partition("<summary>\n          More filters")[2]
    assert re.sub(r"\s*<.*?>\s*", " ", summary.partition("</summary>")[0]).strip() == count
    assert '<details class="fold filters" >' in page.content.decode()


@pytest.mark.usefixtures("three")
def test_a_folded_filter_that_is_wrong_is_unfolded(as_charlie: Client) -> None:
    page = as_charlie.get("/models/?price=-1").content.decode()

    assert '<details class="fold filters" open>' in page


@pytest.mark.usefixtures("three")
def test_a_provider_is_named_only_where_staff_let_it(as_charlie: Client) -> None:
    for path in ("/models/", "/models/seer/", "/models/thinker/"):
        assert "discreet" not in as_charlie.get(path).content.decode()
    assert "Served by lens" in words(as_charlie.get("/models/seer/"))
    assert "Capabilities Calls tools, Reads images" in words(as_charlie.get("/models/seer/"))


@pytest.mark.usefixtures("three")
def test_a_filter_that_every_model_would_fail_is_not_shown(as_charlie: Client) -> None:
    Route.objects.all().delete()
    PublicModel.objects.update(abilities=[], context_tokens=None, is_reasoning=False)
    Pack.objects.all().delete()

    page = as_charlie.get("/models/").content.decode()

    assert [
        name for name in ("can", "provider", "context", "price") if f'name="{name}"' in page
    ] == []


def test_a_model_has_a_page_of_its_own(as_charlie: Client, starter: Pack, gpt4: ModelPrice) -> None:
    price("vendor/deep:free", prompt=500)
    price("vendor/deep:free", prompt=2_000)
    PublicModel.objects.filter(name="vendor/deep:free").update(
        context_tokens=128_000, default_max_tokens=8_192, has_default_temperature=False
    )

    page = words(as_charlie.get("/models/vendor/deep:free/"))

    assert "Reads at most 128,000 tokens, its answer included" in page
    assert "Default max_tokens 8,192" in page
    assert "set by the model's maker" in page
    assert "Prompt 2,000,000 $18.00" in page
    assert '"model": "vendor/deep:free"' in page
    # Both versions of its price, the present one first.
    assert page.index("2,000,000 2,000,000") < page.index("500,000 500,000")


def test_a_model_that_can_not_be_called_has_no_page(as_charlie: Client, gpt4: ModelPrice) -> None:
    PublicModel.objects.update(is_active=False)

    assert as_charlie.get("/models/gpt-4/").status_code == 404
    assert as_charlie.get("/models/never-was/").status_code == 404


def test_the_example_on_the_landing_page_is_reckoned_by_the_price_list(
    as_charlie: Client, gpt4: ModelPrice
) -> None:
    price("gpt-4", prompt=3_000, cached=1_500, completion=6_000)

    page = words(as_charlie.get("/"))

    # 180 × 3 + 1,024 × 1.5 + 318 × 6, and 1,204 × 3 + 4,096 × 6 held.
    assert "Prompt 180 × 3 540" in page
    assert "Cached prompt 1,024 × 1.5 1,536" in page
    assert "Completion 318 × 6 1,908" in page
    assert "Charged 3,984" in page
    assert "Held 28,188, released 24,204" in page


def test_search_engines_are_shown_what_is_public(as_charlie: Client, gpt4: ModelPrice) -> None:
    site_map = as_charlie.get("/sitemap.xml").content.decode()
    robots = as_charlie.get("/robots.txt").content.decode()

    assert "<loc>http://testserver/models/gpt-4/</loc>" in site_map
    assert "dashboard" not in site_map
    assert "Disallow: /admin/" in robots
    # Whoever is not logged in is sent to a page that is closed to search engines.
    assert "/dashboard/" not in robots
    assert "Disallow: /accounts/" in robots
    assert Client().get("/dashboard/").headers["Location"].startswith("/accounts/login/")
    assert "Sitemap: http://testserver/sitemap.xml" in robots
    assert as_charlie.get("/favicon.ico").headers["Location"].startswith("/static/img/favicon")


def test_it_leaves_out_a_model_without_a_price(as_charlie: Client) -> None:
    PublicModel.objects.create(name="gpt-free")

    page = as_charlie.get("/models/").content.decode()

    assert "gpt-free" not in page
    assert "No models are available right now" in page


@pytest.mark.parametrize("path", ["/", "/packs/", "/models/", "/models/gpt-4/", "/docs/"])
def test_it_shows_a_page_without_script_and_style_of_its_own(
    as_charlie: Client, starter: Pack, gpt4: ModelPrice, path: str
) -> None:
    answer = as_charlie.get(path)
    page = answer.content.decode()

    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page
    assert page.count("<h1") == 1


def test_it_asks_the_database_no_more_for_many_models_than_for_one(
    as_charlie: Client, gpt4: ModelPrice, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        set_price(
            PublicModel.objects.create(name=f"other-{number}"),
            prompt_rate_millicredits=1,
            cached_prompt_rate_millicredits=1,
            completion_rate_millicredits=1,
        )

    with django_assert_num_queries(5):
        as_charlie.get("/models/")


def test_the_landing_page_has_models_with_todays_prices(
    as_charlie: Client, gpt4: ModelPrice, starter: Pack
) -> None:
    page = as_charlie.get("/")

    assert names(page) == ["gpt-4"]
    assert f"in the money of the {starter.name} pack" in words(page)
    assert "begins to answer after" not in words(page)


def test_the_landing_page_tells_what_was_measured_once_there_is_enough(
    as_charlie: Client, gpt4: ModelPrice
) -> None:
    cache.clear()
    add_speed(LEAST_REQUESTS, ms=1_000)

    try:
        told = words(as_charlie.get("/"))
    finally:
        cache.clear()

    assert re.search(r"gpt-4 begins to answer after 2\d\d ms", told)


def test_a_link_to_a_page_is_shown_with_a_picture_that_exists(as_charlie: Client) -> None:
    page = as_charlie.get("/").content.decode()

    [picture] = re.findall(r'property="og:image"\s+content="[^"]*/static/(img/[^"]+)"', page)
    assert finders.find(picture)
    assert page.count('property="og:title"') == 1


def test_the_price_list_says_what_a_model_costs_from_when_on(
    as_charlie: Client, gpt4: ModelPrice
) -> None:
    with time_machine.travel(datetime(2036, 3, 2, 12, tzinfo=UTC), tick=False):
        plan_price(
            gpt4.model,
            datetime(2036, 3, 9, 8, tzinfo=UTC),
            prompt_rate_millicredits=3_000,
            cached_prompt_rate_millicredits=1_500,
            completion_rate_millicredits=6_000,
        )
        pages = [words(as_charlie.get(path)) for path in ("/models/", "/models/gpt-4/")]

    for page in pages:
        assert "From 9 Mar 2036, 08:00 UTC: 3,000,000 credits per million prompt tokens" in page
    assert "From 9 Mar 2036, 08:00 UTC 3,000,000 1,500,000 6,000,000" in pages[1]


@pytest.fixture
def dollars(db: None) -> AmountOffer:
    """Any amount from $10 to $5,000 at 100,000 credits a dollar, from $100 at 110,000."""
    made = AmountOffer.objects.create(
        currency="usd",
        least_cents=1_000,
        most_cents=500_000,
        credits_per_unit=100_000,
        is_active=True,
    )
    AmountStep.objects.create(offer=made, from_cents=10_000, credits_per_unit=110_000)
    return made


def test_an_amount_is_told_in_credits_as_it_will_be_ordered(
    as_charlie: Client, as_alice: Client, dollars: AmountOffer
) -> None:
    asked = {"currency": "usd", "amount": "1,250.00"}

    shown = words(as_charlie.get("/packs/", asked))
    ordered = words(as_alice.get("/billing/checkout-amount/", asked))

    assert "$1,250.00 buys 137,500,000 credits" in shown
    assert "Custom amount Credits 137,500,000" in ordered
    assert "Total $1,250.00" in ordered


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        ("9.99", "Choose an amount from $10.00 to $5,000.00."),
        ("5000.01", "Choose an amount from $10.00 to $5,000.00."),
        ("10.005", "has more decimal places"),
        ("ten", "Enter a number."),
        ("", "This field is required."),
        ("1e400", "digits"),
    ],
)
def test_an_amount_that_is_not_sold_says_what_is(
    as_charlie: Client, as_alice: Client, dollars: AmountOffer, amount: str, says: str
) -> None:
    asked = {"currency": "usd", "amount": amount}

    answer = as_charlie.get("/packs/", asked)
    order = as_alice.get("/billing/checkout-amount/", asked, follow=True)

    assert (answer.status_code, order.status_code) == (400, 400)
    assert says in words(answer)
    assert says in words(order)


def test_without_an_offer_there_is_no_form_for_amounts(
    as_charlie: Client, as_alice: Client
) -> None:
    assert "your own amount" not in words(as_charlie.get("/packs/"))
    assert as_alice.get("/billing/checkout-amount/?amount=10").status_code == 302


def test_a_visitor_signs_up_and_comes_back_to_the_amount(
    as_charlie: Client, dollars: AmountOffer
) -> None:
    answer = as_charlie.get("/billing/checkout-amount/", {"currency": "usd", "amount": "50"})

    next_url = "%2Fbilling%2Fcheckout-amount%2F%3Fcurrency%3Dusd%26amount%3D50"
    assert answer["Location"] == f"/accounts/signup/?next={next_url}"


def test_an_order_on_terms_that_changed_says_so_and_orders_nothing(
    as_alice: Client, dollars: AmountOffer
) -> None:
    page = as_alice.get("/billing/checkout-amount/", {"currency": "usd", "amount": "50"})
    mark = page.context["quote"]
    AmountOffer.objects.update(credits_per_unit=99_999)

    answer = as_alice.post("/billing/checkout-amount/", {"quote": mark}, follow=True)

    assert "What is sold for this price has changed since you looked" in words(answer)
    assert not Order.objects.exists()


def test_what_is_wrong_is_told_while_it_is_typed_too(
    as_charlie: Client, dollars: AmountOffer
) -> None:
    answer = as_charlie.get(
        "/packs/", {"currency": "usd", "amount": "3"}, headers={"HX-Request": "true"}
    )

    assert answer.status_code == 200
    assert "Choose an amount from $10.00 to $5,000.00." in words(answer)
