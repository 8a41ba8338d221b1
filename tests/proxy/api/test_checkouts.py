"""A program orders a pack for its owner."""

from pytest_django import Settings

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
