"""PostgreSQL lets nobody commit a balance or lots that don't agree with the entries."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from billing.audit.books import audit
from billing.ledger.agreement import TRIGGERS, check_now, switch_check
from billing.models import InboxItem, LedgerEntry, Lot, UsageRecord, Wallet
from billing.wallet import keys
from tests.till import Till

pytestmark = pytest.mark.django_db(transaction=True)

PUT = (
    "INSERT INTO billing_ledgerentry (wallet_id, kind, amount_credits, balance_credits, reference,"
    " reason, created_at) SELECT id, 'grant', {amount}, {balance}, '{name}', '', now()"
    " FROM billing_wallet"
)
WORTH = PUT.format(amount=5, balance=1_005, name="worth")
RAISE = "UPDATE billing_wallet SET posted_credits = 1_005, credited_credits = 1_005"
LOT = (
    "INSERT INTO billing_lot (wallet_id, entry_id, is_promotional, granted_credits,"
    " remaining_credits, created_at) SELECT wallet_id, id, true, 5, 5, now()"
    " FROM billing_ledgerentry WHERE reference = 'worth'"
)
# Each with what the refusal says of it.
BROKEN = {
    "a balance alone": (("UPDATE billing_wallet SET posted_credits = 999",), "its newest entry"),
    "a lot alone": (("UPDATE billing_lot SET remaining_credits = 999",), "its lots have 999 left"),
    "an entry alone": ((WORTH,), "its balance is 1000, its newest entry says 1005"),
    "an entry and the balance": ((WORTH, RAISE), "its balance is 1005, its lots have 1000 left"),
    "an entry and a lot": ((WORTH, LOT), "its balance is 1000"),
    "a balance and a lot": ((WORTH.replace("'worth'", "'x'"), RAISE, LOT), "its lots have 1000"),
    "an entry that does not follow": (
        (PUT.format(amount=5, balance=1_006, name="worth"), RAISE.replace("1_005", "1_006"), LOT),
        "leaves 1006 after 1000",
    ),
    "an entry that undoes another's error": (
        (
            PUT.format(amount=5, balance=2_000, name="worth"),
            PUT.format(amount=5, balance=1_005, name="more"),
            RAISE,
            LOT,
        ),
        "leaves 2000 after 1000",
    ),
    "a lot that is gone": (("DELETE FROM billing_lot",), "its lots have 0 left"),
}


# So many entries that whoever reads them all is seen to do so.
LONG = """
INSERT INTO billing_ledgerentry (wallet_id, kind, amount_credits, balance_credits, reference,
    reason, created_at)
SELECT id, 'usage', -1, 100_000 - n, 'long' || n, '', now()
  FROM billing_wallet, generate_series(1, 20_000) n WHERE id = {wallet} ORDER BY n;
UPDATE billing_wallet SET posted_credits = 80_000 WHERE id = {wallet};
UPDATE billing_lot SET remaining_credits = 80_000 WHERE wallet_id = {wallet}
"""
# What the present transaction has read of the ledger.
READ = """
SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
 WHERE relname = 'billing_ledgerentry'
"""


@pytest.fixture
def other(till: Till) -> Till:
    """Another's wallet, whose charges are booked in one batch with those of the first."""
    for number in range(1, keys.SHARDS + 1):
        found = Till(User.objects.create_user(f"{number}@example.com"))
        if found.shard == till.shard:
            return found
    raise AssertionError


@contextmanager
def unchecked() -> Iterator[None]:
    with transaction.atomic():
        switch_check(on=False)
        yield
        switch_check(on=True)


def scalar(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


def run(statements: tuple[str, ...]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.mark.parametrize("name", BROKEN)
def test_it_refuses_to_commit(name: str, till: Till) -> None:
    statements, why = BROKEN[name]
    till.grant(1_000)

    with pytest.raises(IntegrityError, match=why):
        run(statements)

    assert (till.posted(), LedgerEntry.objects.count()) == (1_000, 1)
    assert audit(pause_s=0) == []


def test_what_agrees_is_committed_in_whatever_order(till: Till) -> None:
    till.grant(1_000)

    run((RAISE, WORTH, LOT))

    assert Wallet.objects.get().posted_credits == 1_005


def test_a_transaction_may_be_wrong_on_its_way(till: Till) -> None:
    till.grant(1_000)

    run(("UPDATE billing_wallet SET posted_credits = 1", RAISE, WORTH, LOT))

    assert Wallet.objects.get().posted_credits == 1_005


@pytest.mark.parametrize("whose", ["who has nearly all entries", "who has few"])
def test_a_check_costs_no_more_where_the_ledger_is_long(
    whose: str, till: Till, other: Till
) -> None:
    other.grant(1_000)
    till.grant(100_000)
    with unchecked(), connection.cursor() as cursor:
        cursor.execute(LONG.format(wallet=till.wallet.pk))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_ledgerentry")
    spender = till if whose == "who has nearly all entries" else other
    entries = 20

    with transaction.atomic():
        for _ in range(entries):
            spender.grant(5)
        before = scalar(READ)
        check_now()
        read = scalar(READ) - before

    assert read <= entries * 5


def test_other_wallets_are_not_looked_at(till: Till, other: Till) -> None:
    for each in (till, other):
        each.grant(1_000)
    with unchecked():
        Lot.objects.filter(wallet=other.wallet).update(remaining_credits=1)

    till.grant(1)

    with pytest.raises(IntegrityError, match=f"wallet {other.wallet.pk}"):
        other.grant(1)


def test_a_charge_of_wrong_books_waits_for_a_person_and_others_are_booked(
    till: Till, other: Till
) -> None:
    for each in (till, other):
        each.grant(1_000)
        each.place(f"r{each.wallet.pk}", 100)
        each.settle(f"r{each.wallet.pk}", 40)
    with unchecked():
        # Of another's lot nothing would be noticed by who books.
        Lot.objects.filter(wallet=other.wallet).update(remaining_credits=999)

    till.drain()

    assert [record.wallet for record in UsageRecord.objects.all()] == [till.wallet]
    (item,) = InboxItem.objects.filter(kind="event_not_booked")
    assert "lots have" in item.summary


def test_it_is_on_again_after_it_was_switched_off(till: Till) -> None:
    till.grant(1_000)
    with suppress(ZeroDivisionError), transaction.atomic():
        switch_check(on=False)
        raise ZeroDivisionError

    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgdeferrable AND tgenabled = 'O'")
        names = {name for (name,) in cursor.fetchall()}
    assert set(TRIGGERS) <= names
    with pytest.raises(IntegrityError):
        run(("UPDATE billing_wallet SET posted_credits = 999",))
