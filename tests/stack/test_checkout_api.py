"""A program that ran out hands its person a link, and goes on when it is paid."""

from urllib.parse import urlsplit

import httpx
import pytest

from devstack.stack import Stack
from tests.stack.shop import Customer, Shop
from tests.stripe_sandbox import PAYS
from tests.waiting import await_true

pytestmark = pytest.mark.stack


@pytest.fixture
def broke(shop: Shop) -> Customer:
    """A key whose owner has no credits left."""
    return shop.open_account(credits=0)


def order(stack: Stack, customer: Customer, **body: object) -> httpx.Response:
    return httpx.post(
        f"{stack.url}/v1/checkout", headers=customer.headers, json=body, trust_env=False
    )


def test_a_program_orders_and_its_person_pays(stack: Stack, shop: Shop, broke: Customer) -> None:
    refused = shop.chat(broke)
    link = order(stack, broke, pack="starter").json()

    session_id = urlsplit(link["url"]).path.rpartition("/")[2]
    httpx.post(
        f"{stack.stripe_url}/sandbox/checkout/{session_id}/pay",
        json={"card": PAYS},
        trust_env=False,
    ).raise_for_status()

    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert (link["object"], link["credits"]) == ("checkout", 1_000_000)
    await_true(lambda: shop.balance(broke)["available"] == 1_000_000, what="the paid credits")
    assert shop.chat(broke).status_code == 200


def test_asking_again_gives_the_same_order(stack: Stack, broke: Customer) -> None:
    first, second = (order(stack, broke, pack="starter").json() for _ in range(2))

    assert first == second


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "missing_required_parameter"),
        ({"pack": 5}, 400, "invalid_type"),
        ({"pack": "nope"}, 404, "pack_not_found"),
        ({"pack": "starter", "price_cents": 1}, 400, "unsupported_parameter"),
    ],
)
def test_it_refuses_what_is_no_pack(
    stack: Stack, broke: Customer, body: dict[str, object], status: int, code: str
) -> None:
    refused = order(stack, broke, **body)

    assert refused.status_code == status
    assert refused.json()["error"]["code"] == code
