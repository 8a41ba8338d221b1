from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.driver import Client, Emulator, order, refusal, types_of


@pytest.fixture
def code(client: Client) -> stripe.PromotionCode:
    """Return the code SPRING, which takes 20 % off."""
    coupon = client.coupons.create({"percent_off": 20, "id": "spring"})
    return client.codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING"}
    )


def test_it_takes_off_what_a_typed_code_is_worth(
    emulator: Emulator, client: Client, code: stripe.PromotionCode
) -> None:
    session = emulator.session(allow_promotion_codes=True)

    page = emulator.http.post(f"/c/pay/{session.id}", data={"action": "code", "code": "spring"})
    between = client.sessions.retrieve(session.id)
    emulator.pay(session.id)

    paid = client.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert "Pay $10.00" in page.text
    assert between.payment_status == "unpaid"
    assert (paid.amount_subtotal, paid.amount_total) == (1250, 1000)
    assert paid.total_details is not None
    assert paid.total_details.amount_discount == 250
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    assert paid.payment_intent.amount_received == 1000
    assert paid.discounts is not None
    assert [discount.promotion_code for discount in paid.discounts] == [code.id]
    assert client.codes.retrieve(code.id).times_redeemed == 1
    assert client.coupons.retrieve("spring").times_redeemed == 1


def test_it_takes_a_code_away_again(
    emulator: Emulator, client: Client, code: stripe.PromotionCode
) -> None:
    session = emulator.session(allow_promotion_codes=True)
    emulator.http.post(f"/c/pay/{session.id}", data={"action": "code", "code": "SPRING"})

    page = emulator.http.post(f"/c/pay/{session.id}", data={"action": "no_code"})

    assert "Pay $12.50" in page.text
    assert client.sessions.retrieve(session.id).amount_total == 1250
    assert client.codes.retrieve(code.id).times_redeemed == 0


def test_a_code_may_have_a_least_order_in_each_of_its_currencies(
    emulator: Emulator, client: Client
) -> None:
    coupon = client.coupons.create({"percent_off": 20})
    client.codes.create(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "code": "BOTH",
            "restrictions": {
                "minimum_amount": 5_000,
                "minimum_amount_currency": "eur",
                "currency_options": {"usd": {"minimum_amount": 1_250}},
            },
        }
    )
    session = emulator.session(allow_promotion_codes=True)

    emulator.http.post(f"/c/pay/{session.id}", data={"action": "code", "code": "BOTH"})

    assert client.sessions.retrieve(session.id).amount_total == 1_000


@pytest.mark.parametrize(
    "restriction",
    [
        {"active": False},
        {"expires_at": 1_700_000_000},
        {"restrictions": {"minimum_amount": 1251, "minimum_amount_currency": "usd"}},
        {"restrictions": {"minimum_amount": 100, "minimum_amount_currency": "eur"}},
    ],
)
def test_it_refuses_a_code_that_does_not_count_here(
    emulator: Emulator, client: Client, restriction: Any
) -> None:
    coupon = client.coupons.create({"amount_off": 300, "currency": "usd"})
    promotion: Any = {"type": "coupon", "coupon": coupon.id}
    params: Any = {"promotion": promotion, "code": "SPRING", **restriction}
    client.codes.create(params)
    session = emulator.session(allow_promotion_codes=True)

    refused = emulator.pay(session.id, promotion_code="SPRING")

    assert refused.status_code == 400
    assert "code is invalid" in refused.json()["error"]["message"]
    assert client.sessions.retrieve(session.id).amount_total == 1250


def test_it_refuses_a_code_that_was_used_up_or_is_anothers(
    emulator: Emulator, client: Client
) -> None:
    alice = client.customers.create({"email": "alice@example.com"})
    coupon = client.coupons.create({"percent_off": 10})
    promotion: Any = {"type": "coupon", "coupon": coupon.id}
    client.codes.create({"promotion": promotion, "code": "ONCE", "max_redemptions": 1})
    client.codes.create({"promotion": promotion, "code": "HERS", "customer": alice.id})

    answers = [
        emulator.pay(emulator.session(allow_promotion_codes=True).id, promotion_code=code)
        for code in ("ONCE", "ONCE", "HERS")
    ]

    assert [answer.status_code for answer in answers] == [200, 400, 400]


def test_it_takes_no_payment_with_a_code_that_was_used_up_meanwhile(
    emulator: Emulator, client: Client
) -> None:
    coupon = client.coupons.create({"percent_off": 10})
    promotion: Any = {"type": "coupon", "coupon": coupon.id}
    client.codes.create({"promotion": promotion, "code": "ONCE", "max_redemptions": 1})
    first, second = (emulator.session(allow_promotion_codes=True).id for _ in range(2))
    for session_id in (first, second):
        emulator.http.post(f"/c/pay/{session_id}", data={"action": "code", "code": "ONCE"})

    answers = [emulator.pay(session_id) for session_id in (first, second)]
    emulator.http.post(f"/c/pay/{second}", data={"action": "no_code"})

    assert [answer.status_code for answer in answers] == [200, 400]
    assert emulator.pay(second).status_code == 200
    assert sorted(charge.amount for charge in client.charges.list().data) == [1125, 1250]


def test_it_refuses_codes_where_the_shop_takes_none(
    emulator: Emulator, code: stripe.PromotionCode
) -> None:
    session = emulator.session()

    refused = emulator.pay(session.id, promotion_code="SPRING")

    assert refused.status_code == 400
    assert "Promotion code" not in emulator.http.get(f"/c/pay/{session.id}").text


def test_it_gives_away_what_costs_nothing_after_the_discount(
    emulator: Emulator, client: Client
) -> None:
    coupon = client.coupons.create({"percent_off": 100})
    session = emulator.session(discounts=[{"coupon": coupon.id}])

    answer = emulator.pay(session.id)

    after = client.sessions.retrieve(session.id)
    assert answer.json()["outcome"] == "free"
    assert (after.status, after.payment_status) == ("complete", "no_payment_required")
    assert (after.amount_total, after.payment_intent) == (0, None)
    assert types_of(client, "checkout.*") == ["checkout.session.completed"]


def test_it_shares_an_amount_among_the_items_to_the_cent(
    emulator: Emulator, client: Client
) -> None:
    coupon = client.coupons.create({"amount_off": 100, "currency": "usd"})
    three = [*order()["line_items"] * 3]

    session = emulator.session(line_items=three, discounts=[{"coupon": coupon.id}])

    items = client.sessions.line_items.list(session.id).data
    assert [item.amount_discount for item in items] == [33, 33, 34]
    assert session.amount_total == 3 * 1250 - 100


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"discounts": [{"coupon": "unknown"}]}, "discounts[0][coupon]"),
        ({"discounts": [{"promotion_code": "promo_x"}]}, "discounts[0][promotion_code]"),
        ({"discounts": [{"coupon": "spring"}] * 2}, "discounts"),
        ({"discounts": [{"coupon": "spring"}], "allow_promotion_codes": True}, "discounts"),
        ({"discounts": [{"coupon": "euros"}]}, "discounts[0][coupon]"),
    ],
)
def test_it_refuses_a_discount_that_stripe_refuses(
    client: Client, code: stripe.PromotionCode, changes: dict[str, Any], param: str
) -> None:
    client.coupons.create({"id": "euros", "amount_off": 100, "currency": "eur"})

    error = refusal(lambda: client.sessions.create(order(**changes)))

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.param) == (400, param)
    assert client.sessions.list().data == []


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": 20, "amount_off": 100, "currency": "usd"}, "percent_off"),
        ({"percent_off": 101}, "percent_off"),
        ({"amount_off": 100}, "currency"),
        ({"amount_off": 0, "currency": "usd"}, "amount_off"),
        ({"percent_off": 20, "duration": "repeating"}, "duration"),
    ],
)
def test_it_refuses_a_coupon_that_stripe_refuses(client: Client, params: Any, param: str) -> None:
    error = refusal(lambda: client.coupons.create(params))

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.param) == (400, param)


def test_it_finds_codes_and_keeps_them_apart(client: Client, code: stripe.PromotionCode) -> None:
    promotion: Any = {"type": "coupon", "coupon": "spring"}

    taken = refusal(lambda: client.codes.create({"promotion": promotion, "code": "spring"}))
    client.codes.update(code.id, {"active": False})
    again = client.codes.create({"promotion": promotion, "code": "SPRING"})

    assert taken.code == "resource_already_exists"
    assert [each.id for each in client.codes.list({"code": "SPRING", "active": True}).data] == [
        again.id
    ]
    client.coupons.delete("spring")
    assert refusal(lambda: client.coupons.retrieve("spring")).code == "resource_missing"
