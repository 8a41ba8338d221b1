"""What a daily comparison with Stripe reads: everything of a day, page by page."""

import time
from typing import Any

import stripe

from tests.sandbox.stripe.driver import Client, Emulator, charge_of, order

DAY_S = 24 * 60 * 60


def test_it_lists_a_day_of_money_page_by_page(emulator: Emulator, client: Client) -> None:
    charge_of(emulator.paid())
    emulator.control("clock", advance_seconds=2 * DAY_S)
    today = int(time.time()) + DAY_S
    charges = [charge_of(emulator.paid()) for _ in range(3)]
    for charge in charges:
        client.refunds.create({"charge": charge.id, "amount": 100})
        emulator.control(f"charges/{charge.id}/dispute", amount=100)

    listed: dict[str, stripe.ListObject[Any]] = {
        "charges": client.charges.list({"created": {"gte": today}, "limit": 2}),
        "refunds": client.refunds.list({"created": {"gte": today}, "limit": 2}),
        "disputes": client.disputes.list({"created": {"gte": today}, "limit": 2}),
        "intents": client.intents.list({"created": {"gte": today}, "limit": 2}),
        "sessions": client.sessions.list({"created": {"gte": today}, "limit": 2}),
    }

    assert {name: page.has_more for name, page in listed.items()} == dict.fromkeys(listed, True)
    counted = {name: len(list(page.auto_paging_iter())) for name, page in listed.items()}
    assert counted == dict.fromkeys(listed, 3)


def test_it_lists_what_the_day_did_to_the_balance(emulator: Emulator, client: Client) -> None:
    charge = charge_of(emulator.paid())
    refund = client.refunds.create({"charge": charge.id, "amount": 500})
    emulator.control(f"refunds/{refund.id}/fail")
    dispute = emulator.control(f"charges/{charge.id}/dispute")
    emulator.control(f"disputes/{dispute['id']}/win")

    transactions = client.stripe.v1.balance_transactions.list({"limit": 100}).data

    assert [(each.type, each.amount, each.fee) for each in transactions][::-1] == [
        ("charge", 1250, 66),
        ("refund", -500, 0),
        ("refund_failure", 500, 0),
        ("adjustment", -1250, 1500),
        ("adjustment", 1250, 0),
    ]
    assert sum(each.net for each in transactions) == 1250 - 66 - 1500


def test_it_expands_what_a_charge_belongs_to(emulator: Emulator, client: Client) -> None:
    emulator.paid(line_items=order()["line_items"])

    charge = client.charges.list(
        {"expand": ["data.payment_intent", "data.refunds", "data.balance_transaction"]}
    ).data[0]

    assert not isinstance(charge.payment_intent, str)
    assert charge.payment_intent is not None
    assert charge.payment_intent.metadata.to_dict() == {"order_id": "7"}
    assert charge.refunds is not None
    assert charge.refunds.data == []
