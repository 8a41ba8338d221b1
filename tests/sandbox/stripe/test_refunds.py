import stripe

from tests.sandbox.stripe.driver import Client, Emulator, Endpoint, refusal


def charge_of(session: stripe.checkout.Session) -> stripe.Charge:
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    assert isinstance(session.payment_intent.latest_charge, stripe.Charge)
    return session.payment_intent.latest_charge


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
