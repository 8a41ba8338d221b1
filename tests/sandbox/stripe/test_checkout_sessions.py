import time

import pytest
import stripe

from tests.sandbox.stripe.driver import Client, Emulator, order, refusal


def test_it_creates_an_open_session_with_the_total_of_its_items(emulator: Emulator) -> None:
    items = order()["line_items"]
    items[0]["quantity"] = 3

    session = emulator.session(line_items=items)

    assert session.id.startswith("cs_test_a1")
    assert (session.status, session.payment_status) == ("open", "unpaid")
    assert (session.amount_total, session.currency) == (3 * 1250, "usd")
    assert session.client_reference_id == "order-7"
    assert session.metadata is not None
    assert session.metadata.to_dict() == {"order_id": "7"}
    assert session.url == f"{emulator.url}/c/pay/{session.id}"
    assert session.payment_intent is None
    assert session.livemode is False


def test_it_lives_for_a_day_unless_told_otherwise(emulator: Emulator) -> None:
    session = emulator.session()

    assert session.expires_at == session.created + 24 * 60 * 60


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"mode": None}, "parameter_missing", "mode"),
        ({"mode": "paymint"}, None, "mode"),
        ({"locale": "xx"}, None, "locale"),
        ({"locale": "de-DE"}, None, "locale"),
        ({"mode": "subscription"}, "parameter_not_emulated", "mode"),
        ({"success_url": None}, "parameter_missing", "success_url"),
        ({"success_url": "/return"}, "url_invalid", "success_url"),
        ({"success_url": "javascript:alert(1)"}, "url_invalid", "success_url"),
        ({"cancel_url": "shop.example"}, "url_invalid", "cancel_url"),
        ({"cancel_url": ""}, "parameter_invalid_empty", "cancel_url"),
        ({"line_items": None}, "parameter_missing", "line_items"),
        ({"payment_method_types": ["card"]}, "parameter_unknown", "payment_method_types"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"expires_at": "tomorrow"}, "parameter_invalid_integer", "expires_at"),
        ({"customer_email": "nobody"}, "email_invalid", "customer_email"),
        ({"customer": "cus_unknown"}, "resource_missing", "customer"),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"client_reference_id": "r" * 201}, None, "client_reference_id"),
        (
            {"automatic_tax": {"enabled": True, "liability": {"type": "self"}}},
            "parameter_not_emulated",
            "automatic_tax[liability][type]",
        ),
        (
            {"payment_intent_data": {"capture_method": "manual"}},
            "parameter_not_emulated",
            "payment_intent_data[capture_method]",
        ),
    ],
)
def test_it_refuses_a_session_that_stripe_refuses(
    emulator: Emulator, client: Client, changes: dict[str, object], code: str, param: str
) -> None:
    error = refusal(lambda: client.sessions.create(order(**changes)))

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert emulator.state()["objects"] == {}


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"unit_amount": 49}, "amount_too_small", None),
        ({"unit_amount": 100_000_000}, "amount_too_large", None),
        ({"unit_amount": -1}, "parameter_invalid_integer", "[price_data][unit_amount]"),
        ({"unit_amount": "12.50"}, "parameter_invalid_integer", "[price_data][unit_amount]"),
        ({"unit_amount": None}, "parameter_missing", "[price_data][unit_amount]"),
        ({"currency": "dollars"}, None, "[price_data][currency]"),
        ({"currency": None}, "parameter_missing", "[price_data][currency]"),
        ({"product_data": None}, "parameter_missing", "[price_data][product_data]"),
        (
            {"product_data": {"title": "x"}},
            "parameter_unknown",
            "[price_data][product_data][title]",
        ),
        (
            {"recurring": {"interval": "month"}},
            "parameter_not_emulated",
            "[price_data][recurring][interval]",
        ),
    ],
)
def test_it_refuses_a_line_item_that_stripe_refuses(
    emulator: Emulator,
    client: Client,
    change: dict[str, object],
    code: str | None,
    param: str | None,
) -> None:
    items = order()["line_items"]
    data = {**items[0]["price_data"], **change}
    items[0]["price_data"] = {key: value for key, value in data.items() if value is not None}

    error = refusal(lambda: client.sessions.create(order(line_items=items)))

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code) == (400, code)
    assert error.param == (param and f"line_items[0]{param}")
    assert emulator.state()["objects"] == {}


@pytest.mark.parametrize("life_s", [29 * 60, 24 * 60 * 60 + 60])
def test_it_refuses_a_life_shorter_than_half_an_hour_or_longer_than_a_day(
    client: Client, life_s: int
) -> None:
    error = refusal(lambda: client.sessions.create(order(expires_at=int(time.time()) + life_s)))

    assert isinstance(error, stripe.InvalidRequestError)
    assert error.param == "expires_at"


def test_it_refuses_a_customer_together_with_an_address(client: Client) -> None:
    customer = client.customers.create({"email": "alice@example.com"})

    error = refusal(
        lambda: client.sessions.create(
            order(customer=customer.id, customer_email="alice@example.com")
        )
    )

    assert error.user_message is not None
    assert "customer, customer_email" in error.user_message


def test_it_takes_a_feature_that_is_switched_off(emulator: Emulator) -> None:
    session = emulator.session(automatic_tax={"enabled": False}, allow_promotion_codes=False)

    assert session.automatic_tax.enabled is False


def test_it_knows_a_session_by_its_id_only(client: Client) -> None:
    error = refusal(lambda: client.sessions.retrieve("cs_test_unknown"))

    assert (error.http_status, error.code) == (404, "resource_missing")
    assert error.user_message == "No such checkout.session: 'cs_test_unknown'"


def test_it_expires_an_open_session_once(emulator: Emulator, client: Client) -> None:
    session = emulator.session()

    expired = client.sessions.expire(session.id)
    error = refusal(lambda: client.sessions.expire(session.id))

    assert (expired.status, expired.url) == ("expired", None)
    assert error.http_status == 400


def test_it_expires_a_session_when_its_time_is_over(emulator: Emulator, client: Client) -> None:
    early = emulator.session(expires_at=int(time.time()) + 40 * 60)
    late = emulator.session()

    moved = emulator.control("clock", advance_seconds=60 * 60)

    assert moved["expired"] == 1
    assert client.sessions.retrieve(early.id).status == "expired"
    assert client.sessions.retrieve(late.id).status == "open"
    events = client.events.list({"type": "checkout.session.expired"}).data
    assert [event.data.object["id"] for event in events] == [early.id]


def test_it_cancels_the_payment_intent_of_a_session_that_expired_after_a_decline(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.session()
    emulator.pay(session.id, card="4000000000000002")

    expired = client.sessions.expire(session.id, {"expand": ["payment_intent"]})

    assert isinstance(expired.payment_intent, stripe.PaymentIntent)
    assert expired.payment_intent.status == "canceled"
    assert expired.payment_intent.cancellation_reason == "expired"


def test_it_lists_sessions_by_status_customer_and_payment_intent(
    emulator: Emulator, client: Client
) -> None:
    customer = client.customers.create({"email": "alice@example.com"})
    paid = emulator.paid(customer=customer.id)
    still_open = emulator.session()
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)

    by_status = client.sessions.list({"status": "open"}).data
    by_customer = client.sessions.list({"customer": customer.id}).data
    by_intent = client.sessions.list({"payment_intent": paid.payment_intent.id}).data
    by_email = client.sessions.list({"customer_details": {"email": "alice@example.com"}}).data

    assert [session.id for session in by_status] == [still_open.id]
    assert [session.id for session in by_customer] == [paid.id]
    assert [session.id for session in by_intent] == [paid.id]
    assert [session.id for session in by_email] == [paid.id]


def test_it_lists_line_items_in_pages(emulator: Emulator, client: Client) -> None:
    items = [*order()["line_items"], *order()["line_items"], *order()["line_items"]]
    session = emulator.session(line_items=items)

    first = client.sessions.line_items.list(session.id, {"limit": 2})
    rest = client.sessions.line_items.list(
        session.id, {"limit": 2, "starting_after": first.data[-1].id}
    )
    back = client.sessions.line_items.list(
        session.id, {"limit": 2, "ending_before": rest.data[0].id}
    )

    assert ([len(first.data), len(rest.data)], first.has_more, rest.has_more) == (
        [2, 1],
        True,
        False,
    )
    assert [item.id for item in back.data] == [item.id for item in first.data]
    assert first.data[0].amount_total == 1250
    assert first.data[0].description == "Starter pack"
