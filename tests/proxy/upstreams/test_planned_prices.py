"""A planned price is in force in every web process from one instant on, without a reading."""

from datetime import timedelta

import time_machine
from django.utils import timezone

from billing.catalogue.model_prices import plan_price
from billing.models import PublicModel
from proxy.database import in_database
from tests.proxy.conftest import Api, Customer

HOUR = timedelta(hours=1)


def plan_dearer() -> None:
    plan_price(
        PublicModel.objects.get(name="gpt-4"),
        timezone.now() + HOUR,
        prompt_rate_millicredits=7_000,
        cached_prompt_rate_millicredits=7_000,
        completion_rate_millicredits=7_000,
    )


async def price_of_a_token(api: Api) -> int:
    return (await api.runtime.catalogue.get_model("gpt-4")).rates.prompt_millicredits


async def test_it_starts_at_its_instant_though_nothing_is_read(api: Api) -> None:
    await in_database(plan_dearer)
    await api.runtime.catalogue.refresh()
    model = await api.runtime.catalogue.get_model("gpt-4")
    [planned] = model.planned

    with time_machine.travel(planned.starts_at - timedelta(milliseconds=1), tick=False):
        before = await price_of_a_token(api)
    with time_machine.travel(planned.starts_at, tick=False):
        after = await price_of_a_token(api)
        listed = api.runtime.catalogue.models["gpt-4"]

    assert (before, after) == (1_000, 7_000)
    assert (listed.rates.price_id, listed.planned) == (planned.rates.price_id, ())


async def test_requests_before_and_after_have_the_price_of_their_instant(
    api: Api, alice: Customer
) -> None:
    await in_database(plan_dearer)
    await api.runtime.catalogue.refresh()

    before = await api.chat(alice, max_tokens=10)
    with time_machine.travel(timezone.now() + HOUR + timedelta(seconds=1), tick=False):
        model = await api.runtime.catalogue.get_model("gpt-4")
    after = await api.chat(alice, max_tokens=10)

    # The first was asked at 1 credit a token; from the instant on it is 7.
    used = [each.json()["usage"]["total_tokens"] for each in (before, after)]
    charged = [int(each.headers["x-tokenproxy-credits-charged"]) for each in (before, after)]
    assert model.rates.version == 2
    assert charged == [used[0], used[1] * 7]


async def test_the_api_tells_what_a_model_costs_later(api: Api, alice: Customer) -> None:
    await in_database(plan_dearer)
    await api.runtime.catalogue.refresh()
    [planned] = (await api.runtime.catalogue.get_model("gpt-4")).planned

    answer = await api.client.get("/v1/models/gpt-4", headers=alice.headers)

    told = answer.json()["tokenproxy"]
    [later] = told["planned_prices"]
    assert told["credits_per_million_tokens"]["prompt"] == 1_000_000
    assert later["starts_at"] == planned.starts_at.isoformat(timespec="milliseconds")
    assert later["credits_per_million_tokens"]["completion"] == 7_000_000
