"""A program orders a pack for its owner."""

from collections.abc import Callable

from pytest_django import Settings

from accounts.languages import keep_language
from accounts.models import Membership, Role
from billing.models import Order, Pack
from devstack.ports import free_port
from proxy.database import in_database
from tests.proxy.conftest import Api, Customer


def make_pack() -> Pack:
    return Pack.objects.create(
        name="Starter", slug="starter", credits=1_000, price_cents=900, currency="usd"
    )


async def test_an_order_counts_for_the_address_that_it_comes_from(
    api: Api, alice: Customer, settings: Settings
) -> None:
    await in_database(make_pack)
    # The order is made before Stripe is asked.
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    await api.client.post("/v1/checkout", headers=alice.headers, json={"pack": "starter"})

    order = await in_database(Order.objects.get)
    assert order.client_address == "127.0.0.1"


async def test_a_programs_order_is_paid_in_the_language_of_its_owner(
    api: Api, alice: Customer, settings: Settings
) -> None:
    await in_database(make_pack)
    await in_database(keep_language, alice.user, "de")
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    await api.client.post("/v1/checkout", headers=alice.headers, json={"pack": "starter"})

    assert (await in_database(Order.objects.get)).language == "de"


async def test_a_key_whose_maker_may_not_buy_orders_nothing(
    api: Api, alice: Customer, make_customer: Callable[..., Customer]
) -> None:
    await in_database(make_pack)
    bob = await in_database(make_customer, "bob@example.com", credits=0)

    def demote() -> None:
        Membership.objects.create(team=alice.key.team, user=bob.user, role=Role.OWNER)
        Membership.objects.filter(team=alice.key.team, user=alice.user).update(role=Role.DEVELOPER)

    await in_database(demote)
    answer = await api.client.post("/v1/checkout", headers=alice.headers, json={"pack": "starter"})

    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "role_not_allowed"
    assert not await in_database(Order.objects.exists)
