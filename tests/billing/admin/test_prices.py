"""Prices at the desk: planned, cancelled, and what they would bring in."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from billing.catalogue.model_prices import plan_price, set_price
from billing.models import ModelPrice, PriceCancellation, PublicModel, UsageRecord
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from tests import desk

WHY = {"reason": "The provider's own price rises"}
RATES = {
    "prompt_rate_millicredits": "2000",
    "cached_prompt_rate_millicredits": "1000",
    "completion_rate_millicredits": "4000",
}


@pytest.fixture
def model(alice: desk.Buyer) -> PublicModel:
    """Asked once: 10 prompt and 5 completion tokens, 20 credits, sold for 0.18, cost 0.06."""
    record = desk.make_usage(alice.wallet, alice.key, request_id="asked-once")
    record.income_micros = {"usd": 180_000}
    record.cost_nanos = 60_000_000
    record.started_at = record.ended_at = timezone.now()
    record.save()
    note_booked(UsageRecord.objects.all(), [])
    roll_up()
    return PublicModel.objects.get(name="gpt-test")


def test_a_price_is_planned_and_cancelled(root: Client, model: PublicModel) -> None:
    soon = (timezone.now() + timedelta(days=7)).replace(second=0, microsecond=0)
    start = {"starts_at": f"{soon:%Y-%m-%dT%H:%M}"}

    root.post(desk.do_url("set-price", model), {**RATES, **start, **WHY})
    price = ModelPrice.objects.get(version=2)
    page = root.get(desk.do_url("set-price", model))
    root.post(desk.do_url("cancel", price), WHY)

    assert price.starts_at == soon
    assert f"Version 2 starts {soon:%Y-%m-%d %H:%M} UTC." in page.content.decode()
    assert PriceCancellation.objects.get().price == price
    assert desk.last_record().deed == "Cancel"


def test_a_price_that_has_started_has_no_button_and_is_not_cancelled(
    root: Client, model: PublicModel
) -> None:
    price = ModelPrice.objects.get()

    page = root.get(desk.page_url(price))
    root.post(desk.do_url("cancel", price), WHY)

    assert "do/cancel" not in page.content.decode()
    assert not PriceCancellation.objects.exists()


@pytest.mark.parametrize("starts_at", ["2020-01-01T00:00", "2999-01-01T00:00", "tomorrow"])
def test_a_start_that_makes_no_sense_changes_nothing(
    starts_at: str, root: Client, model: PublicModel
) -> None:
    answer = root.post(
        desk.do_url("set-price", model), {**RATES, "starts_at": starts_at, **WHY}, follow=True
    )

    assert answer.status_code == 200
    assert ModelPrice.objects.count() == 1


def test_the_page_has_a_button_for_its_preview(root: Client, model: PublicModel) -> None:
    page = root.get(desk.do_url("set-price", model)).content.decode()
    without = root.get(desk.do_url("cancel", ModelPrice.objects.get())).content.decode()

    assert 'name="_preview"' in page
    assert 'name="_preview"' not in without


def test_the_preview_tells_the_margin_before_and_after(root: Client, model: PublicModel) -> None:
    answer = root.post(desk.do_url("set-price", model), {**RATES, "_preview": "Preview"})

    [row] = answer.context["preview"].rows
    # 10 + 5 × 2 credits in force, 10 × 2 + 5 × 4 then; each credit was sold for 0.009.
    assert row == [
        "gpt-test",
        "1",
        "20 → 40",
        "$0.18 → $0.36",
        "$0.12 (66.7 %) → $0.30 (83.3 %)",
        "$0.06",
    ]
    assert ModelPrice.objects.count() == 1


@pytest.mark.parametrize("what", ["rates", "price in force", "planned price"])
def test_a_price_that_was_looked_at_is_set_only_if_all_is_as_it_was(
    what: str, root: Client, model: PublicModel
) -> None:
    url, rates = desk.do_url("set-price", model), dict(RATES)
    seal = root.post(url, {**rates, "_preview": "Preview"}).context["seal"]
    if what == "rates":
        rates["completion_rate_millicredits"] = "5000"
    elif what == "price in force":
        set_price(model, **dict.fromkeys(RATES, 700))
    else:
        plan_price(model, timezone.now() + timedelta(days=1), **dict.fromkeys(RATES, 700))
    before = ModelPrice.objects.count()

    answer = root.post(url, {**rates, "_seal": seal, **WHY})

    assert "has changed since you looked" in str(answer.context["form"].errors)
    assert answer.context["preview"].rows
    assert ModelPrice.objects.count() == before
    root.post(url, {**rates, "_seal": answer.context["seal"], **WHY})
    assert ModelPrice.objects.count() == before + 1


def test_several_models_get_the_price_that_was_looked_at(root: Client, model: PublicModel) -> None:
    url = desk.do_url("set-price", model, desk.make_model("gpt-other"))
    seal = root.post(url, {**RATES, "_preview": "Preview"}).context["seal"]

    root.post(url, {**RATES, "_seal": seal, **WHY})

    assert ModelPrice.objects.filter(version=2).count() == 2


def test_the_preview_is_for_those_who_see_margins(model: PublicModel) -> None:
    staff = desk.make_staff(
        "prices@example.com", "billing.view_publicmodel", "billing.add_modelprice"
    )

    answer = staff.post(desk.do_url("set-price", model), {**RATES, "_preview": "Preview"})

    assert answer.status_code == 403
