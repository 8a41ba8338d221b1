from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.driver import Client, Emulator, Endpoint, charge_of, refusal, types_of


def balance_of(client: Client) -> int:
    return client.stripe.v1.balance.retrieve().available[0].amount


def test_it_takes_the_disputed_money_and_a_fee(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())

    opened = emulator.control(f"charges/{charge.id}/dispute")

    dispute = client.disputes.retrieve(opened["id"])
    assert (dispute.amount, dispute.status, dispute.reason) == (
        1250,
        "needs_response",
        "fraudulent",
    )
    assert (dispute.charge, dispute.payment_intent) == (charge.id, charge.payment_intent)
    assert client.charges.retrieve(charge.id).disputed is True
    booked = dispute.balance_transactions[0]
    assert (booked.type, booked.reporting_category) == ("adjustment", "dispute")
    assert (booked.amount, booked.fee) == (-1250, 1500)
    assert balance_of(client) == 1184 - 1250 - 1500
    assert types_of(client, "charge.dispute.*") == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
    ]


def test_it_gives_the_money_back_when_the_dispute_is_won(
    emulator: Emulator, client: Client
) -> None:
    charge = charge_of(emulator.paid())
    dispute = emulator.control(f"charges/{charge.id}/dispute", amount=1000)
    emulator.control(f"disputes/{dispute['id']}/submit")

    won = emulator.control(f"disputes/{dispute['id']}/win")

    assert (won["status"], won["is_charge_refundable"]) == ("won", True)
    assert [booked["amount"] for booked in won["balance_transactions"]] == [-1000, 1000]
    # The fee of a dispute is gone for good.
    assert balance_of(client) == 1184 - 1500
    assert types_of(client, "charge.dispute.*")[2:] == [
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]


def test_it_keeps_the_money_when_the_dispute_is_lost(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    dispute = emulator.control(f"charges/{charge.id}/dispute")

    lost = emulator.control(f"disputes/{dispute['id']}/lose")

    assert lost["status"] == "lost"
    assert balance_of(client) == 1184 - 1250 - 1500
    closed = client.events.list({"type": "charge.dispute.closed"}).data[0]
    assert closed.data.object["status"] == "lost"
    assert closed.data.previous_attributes is not None
    assert closed.data.previous_attributes["status"] == "needs_response"


@pytest.mark.parametrize("verb", ["win", "lose", "submit", "escalate"])
def test_it_decides_a_dispute_once(emulator: Emulator, verb: str) -> None:
    charge = charge_of(emulator.paid())
    dispute = emulator.control(f"charges/{charge.id}/dispute")
    emulator.control(f"disputes/{dispute['id']}/win")

    again = emulator.http.post(f"/sandbox/disputes/{dispute['id']}/{verb}")

    assert again.status_code == 400
    assert emulator.state()["disputes"][0]["status"] == "won"


def test_it_takes_nothing_for_an_inquiry_until_it_is_escalated(
    emulator: Emulator, client: Client
) -> None:
    charge = charge_of(emulator.paid())
    inquiry = emulator.control(f"charges/{charge.id}/dispute", inquiry=True)
    before = balance_of(client)

    escalated = emulator.control(f"disputes/{inquiry['id']}/escalate")

    assert (inquiry["status"], inquiry["is_charge_refundable"]) == ("warning_needs_response", True)
    assert (before, balance_of(client)) == (1184, 1184 - 1250 - 1500)
    assert escalated["status"] == "needs_response"
    assert types_of(client, "charge.dispute.*") == [
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
    ]


def test_it_closes_an_inquiry_that_is_won(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    inquiry = emulator.control(f"charges/{charge.id}/dispute", inquiry=True)

    closed = emulator.control(f"disputes/{inquiry['id']}/win")

    assert closed["status"] == "warning_closed"
    assert closed["balance_transactions"] == []


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        ("We have a signature.", "under_review"),
        ("winning_evidence", "won"),
        ("losing_evidence", "lost"),
    ],
)
def test_it_takes_evidence_as_stripes_test_mode_does(
    emulator: Emulator, client: Client, evidence: str, status: str
) -> None:
    charge = charge_of(emulator.paid())
    dispute = emulator.control(f"charges/{charge.id}/dispute")

    after = client.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": evidence}})

    assert after.status == status
    assert after.evidence_details.submission_count == 1


def test_it_keeps_evidence_that_is_not_submitted_yet(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    dispute = emulator.control(f"charges/{charge.id}/dispute")

    staged = client.disputes.update(
        dispute["id"], {"evidence": {"customer_name": "Alice"}, "submit": False}
    )

    assert (staged.status, staged.evidence.customer_name) == ("needs_response", "Alice")
    assert (staged.evidence_details.has_evidence, staged.evidence_details.submission_count) == (
        True,
        0,
    )


def test_it_loses_a_dispute_that_the_shop_closes(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    dispute = emulator.control(f"charges/{charge.id}/dispute")

    closed = client.disputes.close(dispute["id"])
    error = refusal(lambda: client.disputes.close(dispute["id"]))

    assert closed.status == "lost"
    assert error.http_status == 400


def test_it_disputes_a_charge_in_parts_and_never_more_than_was_paid(emulator: Emulator) -> None:
    charge = charge_of(emulator.paid())
    emulator.control(f"charges/{charge.id}/dispute", amount=1000)

    rest = emulator.control(f"charges/{charge.id}/dispute")
    more = emulator.http.post(f"/sandbox/charges/{charge.id}/dispute", json={"amount": 1})

    assert rest["amount"] == 250
    assert more.status_code == 400
    assert len(emulator.state()["disputes"]) == 2


def test_it_disputes_a_charge_that_was_refunded_in_part(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    client.refunds.create({"charge": charge.id, "amount": 500})

    emulator.control(f"charges/{charge.id}/dispute", amount=750)

    after = client.charges.retrieve(charge.id)
    assert (after.amount_refunded, after.disputed) == (500, True)


def test_it_refuses_to_refund_what_a_dispute_holds(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    dispute = emulator.control(f"charges/{charge.id}/dispute")

    held = refusal(lambda: client.refunds.create({"charge": charge.id}))
    emulator.control(f"disputes/{dispute['id']}/win")
    refund = client.refunds.create({"charge": charge.id})

    assert (held.http_status, held.code) == (400, "charge_disputed")
    assert (refund.amount, refund.status) == (1250, "succeeded")


@pytest.mark.parametrize(
    "given", [{"amount": 0}, {"amount": "x"}, {"amount": 1251}, {"reason": "bored"}, {"colour": 1}]
)
def test_it_refuses_a_dispute_that_no_bank_would_open(
    emulator: Emulator, given: dict[str, Any]
) -> None:
    charge = charge_of(emulator.paid())

    answer = emulator.http.post(f"/sandbox/charges/{charge.id}/dispute", json=given)

    assert answer.status_code == 400
    assert emulator.state()["disputes"] == []


def test_it_opens_no_dispute_of_a_declined_payment(emulator: Emulator, client: Client) -> None:
    session = emulator.session()
    emulator.pay(session.id, card="4000000000000002")
    charge = client.charges.list().data[0]

    answers = [
        emulator.http.post(f"/sandbox/charges/{charge.id}/{what}") for what in ("dispute", "warn")
    ]

    assert [answer.status_code for answer in answers] == [400, 400]


def test_it_lists_disputes_by_charge_and_payment_intent(emulator: Emulator, client: Client) -> None:
    one, other = charge_of(emulator.paid()), charge_of(emulator.paid())
    dispute = emulator.control(f"charges/{one.id}/dispute")
    emulator.control(f"charges/{other.id}/dispute")

    by_charge = client.disputes.list({"charge": one.id, "expand": ["data.charge"]}).data
    by_intent = client.disputes.list({"payment_intent": str(one.payment_intent)}).data

    assert [found.id for found in by_charge] == [found.id for found in by_intent] == [dispute["id"]]
    assert isinstance(by_charge[0].charge, stripe.Charge)
    assert refusal(lambda: client.disputes.retrieve("dp_unknown")).http_status == 404


def test_it_warns_of_fraud_until_the_payment_is_refunded(
    emulator: Emulator, client: Client, endpoint: Endpoint
) -> None:
    charge = charge_of(emulator.paid())
    endpoint.take(4)

    warning = emulator.control(f"charges/{charge.id}/warn", fraud_type="made_with_stolen_card")
    event = endpoint.next()
    client.refunds.create({"charge": charge.id})

    assert event.type == "radar.early_fraud_warning.created"
    assert (event.data.object["charge"], event.data.object["actionable"]) == (charge.id, True)
    assert client.warnings.retrieve(warning["id"]).actionable is False
    assert [w.id for w in client.warnings.list({"charge": charge.id}).data] == [warning["id"]]


@pytest.mark.parametrize(
    ("card", "event"),
    [
        ("4000000000000259", "charge.dispute.created"),
        ("4000000000002685", "charge.dispute.created"),
        ("4000000000001976", "charge.dispute.created"),
        ("4000000000005423", "radar.early_fraud_warning.created"),
    ],
)
def test_it_knows_the_test_cards_that_pay_and_complain(
    emulator: Emulator, client: Client, card: str, event: str
) -> None:
    session = emulator.session()

    emulator.pay(session.id, card=card)

    assert client.sessions.retrieve(session.id).payment_status == "paid"
    assert len(client.events.list({"type": event}).data) == 1


def test_it_disputes_refunds_and_decides_from_the_control_page(
    emulator: Emulator, client: Client
) -> None:
    charge = charge_of(emulator.paid())
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    refunded = emulator.http.post(
        f"/sandbox/charges/{charge.id}/refund", content="amount=250", headers=form
    )
    disputed = emulator.http.post(
        f"/sandbox/charges/{charge.id}/dispute", content="amount=", headers=form
    )

    page = emulator.http.get("/sandbox/").text
    assert (refunded.status_code, disputed.status_code) == (303, 303)
    dispute = client.disputes.list().data[0]
    assert dispute.amount == 1250
    assert f"/sandbox/disputes/{dispute.id}/win" in page
    assert f"/sandbox/refunds/{client.refunds.list().data[0].id}/fail" in page
