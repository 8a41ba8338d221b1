import stripe

from tests.sandbox.stripe.driver import API_KEY, Client, Emulator, Endpoint, charge_of, refusal


def test_it_refunds_in_parts_until_nothing_is_left(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())

    client.refunds.create({"charge": charge.id, "amount": 500})
    halfway = client.charges.retrieve(charge.id)
    rest = client.refunds.create({"payment_intent": str(charge.payment_intent)})

    after = client.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert (halfway.amount_refunded, halfway.refunded) == (500, False)
    assert (rest.amount, rest.status) == (750, "succeeded")
    assert (after.amount_refunded, after.refunded) == (1250, True)
    assert after.refunds is not None
    assert [refund.amount for refund in after.refunds.data] == [750, 500]


def test_it_refuses_more_than_is_left(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    client.refunds.create({"charge": charge.id, "amount": 1000})

    error = refusal(lambda: client.refunds.create({"charge": charge.id, "amount": 251}))

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.param) == (400, "amount")
    assert client.charges.retrieve(charge.id).amount_refunded == 1000


def test_it_refuses_to_refund_again(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    client.refunds.create({"charge": charge.id})

    error = refusal(lambda: client.refunds.create({"charge": charge.id}))

    assert (error.http_status, error.code) == (400, "charge_already_refunded")
    assert len(client.refunds.list({"charge": charge.id}).data) == 1


def test_it_refuses_a_refund_of_nothing(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())

    nothing = refusal(lambda: client.refunds.create({}))
    zero = refusal(lambda: client.refunds.create({"charge": charge.id, "amount": 0}))
    unknown = refusal(lambda: client.refunds.create({"charge": "ch_unknown"}))

    assert (nothing.code, zero.code) == ("parameter_missing", "parameter_invalid_integer")
    assert (unknown.code, unknown.http_status) == ("resource_missing", 404)


def test_it_refuses_to_refund_a_declined_payment(emulator: Emulator, client: Client) -> None:
    session = emulator.session()
    emulator.pay(session.id, card="4000000000000002")
    charge = client.charges.list().data[0]

    by_charge = refusal(lambda: client.refunds.create({"charge": charge.id}))
    by_intent = refusal(
        lambda: client.refunds.create({"payment_intent": str(charge.payment_intent)})
    )

    assert (by_charge.http_status, by_intent.http_status) == (400, 400)
    assert by_intent.code == "payment_intent_unexpected_state"


def test_it_tells_of_a_refund_in_two_events(
    emulator: Emulator, client: Client, endpoint: Endpoint
) -> None:
    charge = charge_of(emulator.paid())
    endpoint.take(4)

    refund = client.refunds.create({"charge": charge.id, "amount": 250, "metadata": {"why": "x"}})

    events = endpoint.take(2)
    assert set(events) == {"refund.created", "charge.refunded"}
    assert events["refund.created"].data.object["id"] == refund.id
    assert events["charge.refunded"].data.object["amount_refunded"] == 250
    previous = events["charge.refunded"].data.previous_attributes
    assert previous is not None
    assert previous["amount_refunded"] == 0


def test_it_takes_the_refund_off_the_balance_but_keeps_the_fee(
    emulator: Emulator, client: Client
) -> None:
    charge = charge_of(emulator.paid())

    client.refunds.create({"charge": charge.id})

    assert client.stripe.v1.balance.retrieve().available[0].amount == -66


def test_it_puts_the_money_back_when_a_refund_fails(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    refund = client.refunds.create({"charge": charge.id, "amount": 500})
    client.refunds.create({"charge": charge.id, "amount": 100})

    emulator.control(f"refunds/{refund.id}/fail", reason="lost_or_stolen_card")

    failed = client.refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert isinstance(failed.failure_balance_transaction, stripe.BalanceTransaction)
    assert failed.failure_balance_transaction.amount == 500
    assert client.charges.retrieve(charge.id).amount_refunded == 100
    assert client.stripe.v1.balance.retrieve().available[0].amount == 1184 - 100


def test_it_tells_of_a_failed_refund(
    emulator: Emulator, client: Client, endpoint: Endpoint
) -> None:
    charge = charge_of(emulator.paid())
    refund = client.refunds.create({"charge": charge.id})
    endpoint.take(6)

    emulator.control(f"refunds/{refund.id}/fail")

    events = endpoint.take(3)
    assert set(events) == {"refund.failed", "refund.updated", "charge.refund.updated"}
    assert events["refund.failed"].data.object["status"] == "failed"
    assert client.charges.retrieve(charge.id).refunded is False


def test_it_keeps_a_refund_pending_until_it_arrives(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    emulator.control("refunds", mode="pending")

    pending = client.refunds.create({"charge": charge.id, "amount": 500})
    emulator.control(f"refunds/{pending.id}/succeed")

    assert (pending.status, pending.pending_reason) == ("pending", "processing")
    assert client.charges.retrieve(charge.id).amount_refunded == 500
    assert client.refunds.retrieve(pending.id).status == "succeeded"
    updated = client.events.list({"type": "refund.updated"}).data[0]
    assert updated.data.previous_attributes is not None
    assert updated.data.previous_attributes["status"] == "pending"


def test_it_knows_the_test_card_whose_refund_is_pending(emulator: Emulator, client: Client) -> None:
    session = emulator.session()
    emulator.pay(session.id, card="4000000000007726")

    refund = client.refunds.create({"charge": client.charges.list().data[0].id})

    assert refund.status == "pending"


def test_it_refunds_again_what_a_failed_refund_gave_back(
    emulator: Emulator, client: Client
) -> None:
    charge = charge_of(emulator.paid())
    first = client.refunds.create({"charge": charge.id})
    emulator.control(f"refunds/{first.id}/fail")

    second = client.refunds.create({"charge": charge.id})

    assert second.amount == 1250
    assert client.charges.retrieve(charge.id).refunded is True


def test_it_refuses_to_fail_a_refund_twice(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    refund = client.refunds.create({"charge": charge.id})
    emulator.control(f"refunds/{refund.id}/fail")

    answers = [
        emulator.http.post(f"/sandbox/refunds/{refund.id}/{verb}") for verb in ("fail", "succeed")
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert client.charges.retrieve(charge.id).amount_refunded == 0


def test_it_refunds_once_under_one_idempotency_key(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    order: stripe.params.RefundCreateParams = {
        "charge": charge.id,
        "amount": 500,
        "reason": "requested_by_customer",
        "metadata": {"order_id": "7"},
    }

    refunds = [client.refunds.create(order, {"idempotency_key": "refund-7"}) for _ in range(2)]

    assert refunds[0].id == refunds[1].id
    assert (refunds[0].reason, refunds[0].metadata and refunds[0].metadata["order_id"]) == (
        "requested_by_customer",
        "7",
    )
    assert client.charges.retrieve(charge.id).amount_refunded == 500


def test_it_refunds_dinars_in_tens_only(emulator: Emulator, client: Client) -> None:
    price = {"currency": "kwd", "unit_amount": 1250, "product_data": {"name": "Starter"}}
    charge = charge_of(emulator.paid(line_items=[{"price_data": price, "quantity": 1}]))

    error = refusal(lambda: client.refunds.create({"charge": charge.id, "amount": 305}))
    refund = client.refunds.create({"charge": charge.id, "amount": 300})

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.param) == (400, "amount")
    assert refund.amount == 300


def test_it_shows_refunds_in_a_charge_only_to_who_asks(emulator: Emulator) -> None:
    charge = charge_of(emulator.paid())
    headers = {"Authorization": f"Bearer {API_KEY}"}

    bare = emulator.http.get(f"/v1/charges/{charge.id}", headers=headers).json()
    listed = emulator.http.get("/v1/charges", headers=headers).json()["data"][0]
    full = emulator.http.get(f"/v1/charges/{charge.id}?expand[]=refunds", headers=headers).json()

    assert "refunds" not in bare
    assert "refunds" not in listed
    assert full["refunds"]["data"] == []
