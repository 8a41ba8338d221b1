"""The pages that sell."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.catalogue.model_prices import set_price
from billing.models import ModelPrice, Pack, PublicModel


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


def test_it_lists_a_model_with_what_a_thousand_tokens_cost_now(
    as_charlie: Client, gpt4: ModelPrice
) -> None:
    set_price(
        gpt4.model,
        prompt_rate_millicredits=3_000,
        cached_prompt_rate_millicredits=75,
        completion_rate_millicredits=12_000,
    )

    page = as_charlie.get("/models/").content.decode()

    assert all(f">{rate}<" in page for rate in ("3,000", "75", "12,000"))
    assert ">2,000<" not in page


def test_it_tells_what_a_model_reads_and_which_defaults_are_its_own(
    gpt4: ModelPrice, as_charlie: Client
) -> None:
    plain = as_charlie.get("/models/").content.decode()
    PublicModel.objects.update(
        context_tokens=128_000, default_max_tokens=8_192, has_default_temperature=False
    )

    page = as_charlie.get("/models/").content.decode()

    assert "Where you name none" not in plain
    assert "Reads up to" not in plain
    assert "Reads up to 128,000 tokens" in page
    assert "<code>max_tokens</code> 8,192" in page
    assert "<code>temperature</code> as the model's maker sets it" in page


def test_it_leaves_out_a_model_without_a_price(as_charlie: Client) -> None:
    PublicModel.objects.create(name="gpt-free")

    page = as_charlie.get("/models/").content.decode()

    assert "gpt-free" not in page
    assert "No models are available right now" in page


@pytest.mark.parametrize("path", ["/", "/packs/", "/models/", "/docs/"])
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

    with django_assert_num_queries(2):
        as_charlie.get("/models/")
