"""What the drain writes, when it does so twice, at once, or with trouble in the middle."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import User
from billing.audit.books import audit
from billing.keys.api_keys import revoke_api_key
from billing.ledger.bookings import book
from billing.ledger.debits import ask_debit
from billing.models import Debit, InboxItem, LedgerEntry, Lot, UsageRecord, Wallet
from billing.upkeep import drain as drains
from billing.wallet import keys
from billing.wallet.events import read_event
from tests.till import Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)


def clawback(till: Till, amount: int, reference: str = "refund:1") -> Debit:
    return ask_debit(
        Debit(wallet=till.wallet, kind="clawback", reference=reference, amount_credits=amount)
    )


def test_a_charge_a_raise_and_a_debit_in_one_batch_add_up(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 100)
    till.settle("r1", 30)
    clawback(till, 200)
    till.settle("r1", 90)
    till.place("r2", 50)
    till.settle("r2", 5)

    assert till.drain() == 4

    amounts = LedgerEntry.objects.filter(amount_credits__lt=0).order_by("pk")
    assert list(amounts.values_list("kind", "amount_credits")) == [
        ("usage", -30),
        ("clawback", -200),
        ("usage", -60),
        ("usage", -5),
    ]
    assert (till.posted(), till.receipt("r1").charged_credits) == (705, 90)
    assert audit(at_rest=True) == []


def test_a_raise_that_takes_nothing_more_still_tells_what_it_cost(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.place("r2", 40)
    till.settle("r1", 60)
    till.drain()

    till.settle("r1", 80)
    till.drain()

    receipt = till.receipt("r1")
    assert (receipt.target_credits, receipt.charged_credits, receipt.write_off_credits) == (
        80,
        60,
        20,
    )
    assert LedgerEntry.objects.filter(kind="usage").count() == 1
    assert audit() == []


def test_impossible_usage_is_filed_for_a_person_once(till: Till) -> None:
    till.grant(1_000)
    for name in ("r1", "r2"):
        till.place(name, 100)
    till.settle("r1", 30)
    till.settle("r2", 40, source="parked")
    found = till.client.redis.xrange(keys.events(till.shard))

    for _ in range(2):
        with transaction.atomic():
            book([read_event(*item) for item in found])
    till.drain()

    item = InboxItem.objects.get()
    assert (item.kind, item.reference) == ("usage_parked", "r2")
    assert (item.detail["held_credits"], item.detail["charged_credits"]) == (100, 40)
    assert till.posted() == 1_000 - 30 - 40


def test_a_request_that_turns_out_impossible_later_is_filed_too(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 100)
    till.settle("r1", 30)
    till.drain()

    till.settle("r1", 60, source="parked")
    till.drain()

    assert InboxItem.objects.get().detail["charged_credits"] == 60


def test_a_finding_goes_with_the_booking_that_failed(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 100)
    till.settle("r1", 30, source="parked")

    def lose_connection(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        done = execute(sql, *rest)
        if 'INSERT INTO "billing_inboxitem"' in sql:
            raise OperationalError("the connection was lost")
        return done

    with connection.execute_wrapper(lose_connection), pytest.raises(OperationalError):
        drains.drain()
    before = InboxItem.objects.count()
    till.drain()

    assert (before, InboxItem.objects.count(), till.posted()) == (0, 1, 970)


def test_two_drains_at_once_book_once(till: Till) -> None:
    till.grant(100_000)
    for number in range(100):
        till.place(f"r{number}", 10)
        till.settle(f"r{number}", number % 10)
    clawback(till, 500)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: in_a_thread(drains.drain), range(4)))

    assert till.posted() == 100_000 - 10 * sum(range(10)) - 500
    assert UsageRecord.objects.count() == 100
    assert audit(at_rest=True) == []


def test_the_same_events_in_another_order_book_the_same(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 100)
    for target in (30, 60, 90):
        till.settle("r1", target)
    found = till.client.redis.xrange(keys.events(till.shard))
    events = [read_event(*item) for item in found]

    with transaction.atomic():
        book([events[1], events[0]])
    with transaction.atomic():
        book([events[2], events[1], events[0]])

    till.drain()
    assert (till.posted(), till.receipt("r1").charged_credits) == (910, 90)
    assert audit(at_rest=True) == []


def test_trouble_of_the_database_is_not_taken_for_trouble_of_the_events(till: Till) -> None:
    till.grant(1_000)
    for number in range(3):
        till.place(f"r{number}", 10)
        till.settle(f"r{number}", 10)
    tries = []

    def lose_connection(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if 'COPY "billing_usagerecord"' in sql:
            tries.append(sql)
            raise OperationalError("the connection was lost")
        return execute(sql, *rest)

    with connection.execute_wrapper(lose_connection), pytest.raises(OperationalError):
        drains.drain()

    assert len(tries) == 1
    assert (till.drain(), till.posted()) == (3, 970)


@pytest.mark.parametrize("wallet_id", ["999984", "-1"])
def test_an_event_of_a_wallet_that_does_not_exist_waits_alone(till: Till, wallet_id: str) -> None:
    till.grant(1_000)
    fields = {"kind": "debit", "ref": "debit:1", "wallet": wallet_id, "delta": 1, "charged": 1}
    till.client.redis.xadd(
        keys.events(till.shard),
        {**fields, "target": 1, "held": 0},
    )
    till.place("r1", 10)
    till.settle("r1", 10)

    drained = drains.drain()

    assert (drained.booked, drained.stuck, till.posted()) == (1, 1, 990)


@pytest.mark.parametrize("reference", ["debit:987654", "debit:x", "nonsense"])
def test_a_debit_that_nobody_asked_for_waits_alone(till: Till, reference: str) -> None:
    till.grant(1_000)
    fields = {"kind": "debit", "ref": reference, "wallet": till.wallet.pk, "delta": 1}
    till.client.redis.xadd(
        keys.events(till.shard), {**fields, "charged": 1, "target": 1, "held": 0}
    )
    till.place("r1", 10)
    till.settle("r1", 10)

    drained = drains.drain()

    assert (drained.booked, drained.stuck, till.posted()) == (1, 1, 990)


@pytest.mark.usefixtures("unchecked_books")
def test_a_charge_beyond_the_lots_is_reported_and_changes_nothing(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.settle("r1", 60)
    Lot.objects.update(remaining_credits=50)

    drained = drains.drain()

    assert (drained.booked, drained.stuck, till.posted()) == (0, 1, 100)
    assert UsageRecord.objects.count() == 0


def test_what_the_database_refuses_is_not_acknowledged(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.settle("r1", 60)
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE billing_ledgerentry ADD CONSTRAINT closed CHECK (kind <> 'usage')"
        )
    try:
        refused = drains.drain()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE billing_ledgerentry DROP CONSTRAINT closed")

    assert (refused.booked, refused.stuck, till.posted()) == (0, 1, 100)
    assert (till.drain(), till.posted()) == (1, 40)
    assert audit(at_rest=True) == []


def test_revoking_keys_and_booking_at_once_does_not_lock_up(till: Till) -> None:
    till.grant(10_000)

    def spend() -> None:
        for number in range(40):
            till.place(f"r{number}", 10)
            till.settle(f"r{number}", 1)
            drains.drain()

    def revoke() -> None:
        for _ in range(40):
            type(till.key).objects.filter(pk=till.key.pk).update(revoked_at=None)
            revoke_api_key(till.key)

    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(in_a_thread, work) for work in (spend, revoke)]:
            job.result()

    till.drain()
    assert till.posted() == 10_000 - 40
    till.key.refresh_from_db()
    assert till.key.last_used_at is not None


def test_wallets_of_many_people_in_one_batch_do_not_mix(till: Till, bob: User) -> None:
    other = Till(bob)
    for each in (till, other):
        each.grant(1_000)
    for number in range(10):
        till.place(f"a{number}", 10)
        till.settle(f"a{number}", 1)
        other.place(f"b{number}", 10)
        other.settle(f"b{number}", 2)

    till.drain()

    assert (till.posted(), other.posted()) == (990, 980)
    assert audit(at_rest=True) == []


def test_a_debit_counts_its_shortfall_as_debt_once(till: Till) -> None:
    till.grant(100)
    clawback(till, 130)
    found = till.client.redis.xrange(keys.events(till.shard))

    for _ in range(2):
        with transaction.atomic():
            book([read_event(*item) for item in found])
    till.drain()

    wallet = Wallet.objects.get(pk=till.wallet.pk)
    assert (wallet.posted_credits, wallet.debt_credits) == (0, 30)
    assert audit(at_rest=True) == []
