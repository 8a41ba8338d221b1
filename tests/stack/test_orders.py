"""From an account over a paid pack to a key that works, and to one that does not any more."""

from collections.abc import Iterator

import pytest

from devstack.stack import Stack
from tests.stack.shop import Customer, Shop
from tests.stack.visitor import SECRET, Visitor, secret_on
from tests.stripe_sandbox import DECLINES
from tests.waiting import await_true

pytestmark = pytest.mark.stack

# What the seed sells as the starter pack.
STARTER_CREDITS = 1_000_000


@pytest.fixture
def dora(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Dora has just signed up."""
    dora = Visitor(stack)
    dora.sign_up(email_of(request))
    yield dora
    dora.close()


@pytest.fixture
def email(request: pytest.FixtureRequest) -> str:
    """Dora's address: another one for every test, since they share the site."""
    return email_of(request)


def email_of(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name.replace('_', '-')[-50:]}@example.com"


def test_the_webhook_alone_fulfils_an_order(shop: Shop, dora: Visitor, email: str) -> None:
    session_id = dora.order("starter")

    paid = dora.pay(session_id)

    assert paid == 200
    await_true(lambda: shop.ledger(email) != [], what="the webhook to credit the order")
    [entry] = shop.ledger(email)
    assert (entry["kind"], entry["amount_credits"]) == ("purchase", STARTER_CREDITS)
    assert "Paid" in dora.orders_page()


def test_webhook_return_page_and_repetition_credit_once(
    shop: Shop, dora: Visitor, email: str
) -> None:
    session_id = dora.order("starter")
    dora.pay(session_id)

    for _ in range(3):
        assert "1,000,000 credits are yours" in dora.come_back(session_id)
    shop.await_webhooks()

    assert [entry["amount_credits"] for entry in shop.ledger(email)] == [STARTER_CREDITS]


def test_the_first_key_is_shown_once_and_pays_from_the_order(
    shop: Shop, dora: Visitor, email: str
) -> None:
    session_id = dora.order("starter")
    dora.pay(session_id)

    secret = secret_on(dora.come_back(session_id))

    assert SECRET.findall(dora.come_back(session_id)) == []
    key_holder = Customer(email=email, secret=secret, wallet_id=0, key_id=0)
    answer = shop.chat(key_holder)
    charge = int(answer.headers["x-tokenproxy-credits-charged"])
    assert answer.status_code == 200
    assert shop.settled(key_holder) == STARTER_CREDITS - charge
    assert [entry["amount_credits"] for entry in shop.ledger(email)] == [STARTER_CREDITS, -charge]


def test_a_declined_card_buys_nothing_and_the_next_one_does(
    shop: Shop, dora: Visitor, email: str
) -> None:
    session_id = dora.order("starter")

    declined = dora.pay(session_id, card=DECLINES)

    assert declined == 402
    assert "Waiting for your payment" in dora.come_back(session_id)
    assert shop.ledger(email) == []
    assert dora.pay(session_id) == 200
    assert "1,000,000 credits are yours" in dora.come_back(session_id)


def test_a_key_revoked_on_the_dashboard_is_refused_at_once_by_every_web_process(
    shop: Shop, dora: Visitor, email: str
) -> None:
    session_id = dora.order("starter")
    dora.pay(session_id)
    secret = secret_on(dora.come_back(session_id))
    key_holder = Customer(email=email, secret=secret, wallet_id=0, key_id=0)
    # Both processes know the key by now, and would for seconds.
    assert [shop.chat(key_holder, web=web).status_code for web in (0, 1)] == [200, 200]

    dora.revoke_only_key()

    refusals = [shop.chat(key_holder, web=web) for web in (0, 1)]
    assert [refusal.status_code for refusal in refusals] == [401, 401]
    assert {refusal.json()["error"]["code"] for refusal in refusals} == {"invalid_api_key"}


def test_a_form_without_its_token_changes_nothing(shop: Shop, dora: Visitor, email: str) -> None:
    answer = dora.http.post("/billing/checkout/starter/")

    assert answer.status_code == 403
    assert "No orders yet" in dora.orders_page()
    assert shop.ledger(email) == []
