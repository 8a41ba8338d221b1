"""From the stream into the ledger."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.audit.books import audit
from billing.ledger import bookings
from billing.ledger.credits import post_credit
from billing.ledger.debits import ask_debit, decide_open
from billing.ledger.debts import pay_debts
from billing.ledger.expiry import expire_lots
from billing.ledger.references import RequestCharge
from billing.ledger.wallets import adjust_credits, grant_credits, wallet_of
from billing.models import Debit, InboxItem, LedgerEntry, Lot, UsageRecord, Wallet
from billing.upkeep import drain
from billing.wallet import keys
from billing.wallet.commands import ending
from billing.wallet.commands.figures import Balance
from billing.wallet.events import read_event
from common.locks import try_lock_name
from tests.billing.wallet.faults import full_redis
from tests.conftest import open_fences
from tests.racing import before_statement, race
from tests.till import Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_settled_request_becomes_a_receipt_an_entry_and_less_in_the_lot(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 300)
    till.settle("r1", 120)

    assert till.drain() == 1

    receipt = till.receipt("r1")
    assert (receipt.held_credits, receipt.charged_credits, receipt.completion_tokens) == (
        300,
        120,
        120,
    )
    entry = LedgerEntry.objects.get(kind="usage")
    assert (entry.reference, entry.amount_credits, entry.balance_credits) == ("r1", -120, 880)
    assert (till.posted(), till.lots()) == (880, [880])
    assert audit(at_rest=True) == []


def test_the_balance_is_the_same_before_and_after_the_drain(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 300)
    till.settle("r1", 120)
    before = till.balance()

    till.drain()

    assert till.balance() == before


def test_a_lost_acknowledgement_books_nothing_twice(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 300)
    till.settle("r1", 120)
    shard = keys.shard_of(till.wallet.pk)
    events = [read_event(*item) for item in till.client.redis.xrange(keys.events(shard))]
    with transaction.atomic():
        bookings.book(events)

    till.drain()

    assert (till.posted(), LedgerEntry.objects.filter(kind="usage").count()) == (880, 1)
    assert audit(at_rest=True) == []


def test_a_later_higher_settlement_raises_the_receipt(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 300)
    till.settle("r1", 50)
    till.drain()

    till.settle("r1", 120)
    till.drain()

    assert (till.receipt("r1").charged_credits, till.posted()) == (120, 880)
    amounts = LedgerEntry.objects.filter(kind="usage").order_by("pk")
    assert list(amounts.values_list("amount_credits", flat=True)) == [-50, -70]
    assert audit(at_rest=True) == []


def test_a_receipt_says_how_a_request_ended_that_had_been_given_up(till: Till) -> None:
    till.grant(1_000)
    for request_id, amount in [("same", 60), ("less", 50), ("more", 70)]:
        till.place(request_id, 100)
        till.extend(request_id, 60)
        till.reap(request_id, is_dead=True)
        if request_id == "less":
            drain.drain()
        # Its process was only paused.
        till.settle(request_id, amount)
        till.settle(request_id, amount)

    drain.drain()

    receipts = UsageRecord.objects.order_by("request_id")
    told = receipts.values_list("request_id", "outcome", "charged_credits")
    assert list(told) == [
        ("less", "completed", 60),
        ("more", "completed", 70),
        ("same", "completed", 60),
    ]
    assert audit() == []
    assert till.balance() == Balance(810, 0, 810, 0)


def test_what_could_not_be_charged_is_written_off(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.place("r2", 30)
    till.settle("r1", 80)
    till.void("r2")

    till.drain()

    receipt = till.receipt("r1")
    assert (receipt.charged_credits, receipt.write_off_credits, receipt.target_credits) == (
        70,
        10,
        80,
    )
    assert audit(at_rest=True) == []


def test_many_requests_of_many_sizes_add_up(till: Till) -> None:
    till.grant(100_000)
    for number in range(200):
        till.place(f"r{number}", 100)
        till.settle(f"r{number}", number)

    till.drain()

    assert till.posted() == 100_000 - sum(range(200))
    assert UsageRecord.objects.count() == 200
    assert audit(at_rest=True) == []


def test_an_event_that_can_not_be_booked_waits_and_is_reported_once(till: Till) -> None:
    till.grant(1_000)
    shard = keys.shard_of(till.wallet.pk)
    till.client.redis.xadd(keys.events(shard), {"kind": "nonsense", "ref": "r0"})
    till.place("r1", 300)
    till.settle("r1", 120)

    drained = [drain.drain() for _ in range(2)]

    assert [(d.booked, d.stuck) for d in drained] == [(1, 1), (0, 1)]
    assert InboxItem.objects.get().reference == "r0"
    assert till.posted() == 880


def test_one_wallets_trouble_does_not_stop_the_others(till: Till) -> None:
    till.grant(1_000)
    for number in range(3):
        till.place(f"r{number}", 100)
    till.settle("r0", 10)
    broken = till.facts("r1")
    settlement = till.settlement(20, outcome="x" * 50)
    till.client.ask(ending.settle(broken, settlement))
    till.settle("r2", 30)

    drained = drain.drain()

    assert (drained.booked, drained.stuck, till.posted()) == (2, 1, 960)


def test_one_event_that_can_not_be_booked_does_not_slow_down_a_thousand(till: Till) -> None:
    till.grant(1_000)
    for number in range(64):
        till.place(f"r{number}", 10)
        settlement = till.settlement(1, outcome="x" * 50 if number == 40 else "ok")
        till.client.ask(ending.settle(till.facts(f"r{number}"), settlement))

    with CaptureQueriesContext(connection) as queries:
        drained = drain.drain()

    assert (drained.booked, drained.stuck, till.posted()) == (63, 1, 937)
    # The whole, and two halves of 64, 32, 16, 8, 4 and 2.
    tries = [query for query in queries if "billing_usagerecord', 'id'" in query["sql"]]
    assert len(tries) == 13


def test_lots_are_consumed_promotional_first_then_first_to_expire(till: Till) -> None:
    soon, later = timezone.now() + timedelta(days=1), timezone.now() + timedelta(days=9)
    for reference, expires_at, is_promotional in (
        ("forever", None, False),
        ("later", later, False),
        ("soon", soon, False),
        ("gift", later, True),
    ):
        post_credit(
            till.wallet.pk,
            kind="grant",
            amount_credits=100,
            reference=RequestCharge(reference),
            expires_at=expires_at,
            is_promotional=is_promotional,
        )
    till.place("r1", 400)
    till.settle("r1", 250)

    till.drain()

    left = dict(Lot.objects.values_list("entry__reference", "remaining_credits"))
    assert left == {"gift": 0, "soon": 0, "later": 50, "forever": 100}


def test_an_expired_lot_goes_but_not_what_is_held_or_just_spent(till: Till) -> None:
    grant_credits(
        wallet_of(till.user),
        credits=100,
        reason="gift",
        expires_at=timezone.now() - timedelta(seconds=1),
    )
    grant_credits(wallet_of(till.user), credits=50, reason="bought", is_promotional=False)
    till.place("spent", 20)
    till.settle("spent", 20)
    till.place("held", 30)

    expire_lots()
    till.drain()

    assert LedgerEntry.objects.get(kind="expiry").amount_credits == -50
    assert till.balance().available_credits == 150 - 20 - 30 - 50
    till.void("held")
    expire_lots()
    till.drain()
    assert (till.posted(), till.balance().available_credits) == (50, 50)
    assert audit(at_rest=True) == []


def test_a_lot_expires_once_and_takes_nothing_of_the_others(till: Till) -> None:
    grant_credits(
        wallet_of(till.user),
        credits=100,
        reason="gift",
        expires_at=timezone.now() - timedelta(seconds=1),
    )
    grant_credits(wallet_of(till.user), credits=500, reason="bought", is_promotional=False)

    race([expire_lots] * 2, meet_at="FOR NO KEY UPDATE")
    expire_lots()
    till.drain()

    assert Debit.objects.count() == 1
    assert (till.posted(), sorted(till.lots())) == (500, [0, 500])


def test_a_clawback_takes_what_is_there_and_the_rest_is_debt_that_blocks(till: Till) -> None:
    till.grant(100)
    ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=130))

    till.drain()

    wallet = Wallet.objects.get(pk=till.wallet.pk)
    assert (wallet.posted_credits, wallet.debt_credits) == (0, 30)
    assert till.balance().debt_credits == 30
    assert audit(at_rest=True) == []


@pytest.mark.parametrize("is_decided_at_once", [True, False])
def test_a_credit_whose_push_was_lost_is_no_debt(till: Till, is_decided_at_once: bool) -> None:
    till.grant(100)
    clawback = Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=130)
    with till.redis_away():
        till.grant(50)
        if not is_decided_at_once:
            ask_debit(clawback)
    open_fences(till.client)

    if is_decided_at_once:
        ask_debit(clawback)
    else:
        decide_open()
    till.drain()

    wallet = Wallet.objects.get(pk=till.wallet.pk)
    assert (wallet.posted_credits, wallet.debt_credits) == (20, 0)
    assert audit(at_rest=True) == []


def test_the_next_credit_pays_the_debt_first(till: Till) -> None:
    till.grant(100)
    ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=130))
    till.drain()

    till.grant(100)

    assert till.balance() == type(till.balance())(70, 0, 70, 0)
    assert till.lots() == [0, 70]
    assert audit(at_rest=True) == []


def owe(till: Till) -> None:
    """Take 130 of 100 credits, of which a request holds 40 and leaves 30 in the end."""
    till.grant(100)
    till.place("r1", 40)
    ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=130))
    till.drain()
    till.settle("r1", 10)
    till.drain()


def test_what_requests_leave_of_their_holds_pays_the_debt(till: Till) -> None:
    owe(till)
    before = till.balance()

    asked = (pay_debts(), pay_debts())
    till.drain()

    assert (before.available_credits, before.debt_credits) == (30, 70)
    assert asked == (1, 0)
    assert till.balance() == Balance(0, 0, 0, 40)
    assert pay_debts() == 0
    assert audit(at_rest=True) == []


def test_two_sweeps_ask_once(till: Till) -> None:
    owe(till)
    first: list[int] = []

    def be_overtaken() -> None:
        first.append(in_a_thread(pay_debts))

    with before_statement("FOR NO KEY UPDATE", be_overtaken):
        second = pay_debts()

    assert (first, second) == ([1], 0)


def test_a_debt_that_is_paid_blocks_no_more(till: Till) -> None:
    owe(till)
    till.grant(20)
    Wallet.objects.filter(pk=till.wallet.pk).update(debt_credits=10)

    pay_debts()
    till.drain()

    assert till.balance() == Balance(20, 0, 20, 0)
    assert till.place("r2", 20).held_credits == 20


def test_a_credit_pays_nothing_that_is_being_paid(till: Till) -> None:
    owe(till)
    pay_debts()

    till.grant(100)
    till.drain()

    assert till.balance() == Balance(60, 0, 60, 0)
    assert audit(at_rest=True) == []


def test_what_was_spent_before_it_could_pay_stays_owed(till: Till) -> None:
    owe(till)
    with full_redis():
        pay_debts()
    ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="refund:2", amount_credits=20))

    decide_open()
    till.drain()

    assert till.balance() == Balance(0, 0, 0, 60)
    assert audit(at_rest=True) == []


def test_nobody_pays_while_redis_is_away(till: Till) -> None:
    owe(till)

    with till.redis_away():
        assert pay_debts() == 0


def test_an_adjustment_down_takes_no_more_than_is_available(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)

    adjust_credits(till.wallet, amount_credits=-90, actor=till.user, reason="typed it twice")
    till.drain()

    entry = LedgerEntry.objects.get(kind="adjustment")
    assert (entry.amount_credits, entry.reason, entry.actor) == (-40, "typed it twice", till.user)


def test_asking_for_the_same_debit_twice_takes_once(till: Till) -> None:
    till.grant(100)

    for _ in range(2):
        ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="r:1", amount_credits=30))
        till.drain()

    assert till.posted() == 70


def test_posting_the_same_credit_twice_credits_once(till: Till) -> None:
    entries = [
        post_credit(
            till.wallet.pk, kind="purchase", amount_credits=100, reference=RequestCharge("order_1")
        )
        for _ in range(3)
    ]

    assert len({entry.pk for entry in entries}) == 1
    assert (till.posted(), till.balance().available_credits) == (100, 100)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_ledgerentry SET amount_credits = 1",
        "DELETE FROM billing_ledgerentry",
        "UPDATE billing_usagerecord SET charged_credits = charged_credits - 1, "
        "target_credits = target_credits - 1",
        "DELETE FROM billing_usagerecord",
        "UPDATE billing_modelprice SET prompt_rate_millicredits = 0",
        "UPDATE billing_wallet SET posted_credits = -1",
        "UPDATE billing_lot SET remaining_credits = granted_credits + 1",
    ],
)
def test_the_database_refuses_to_rewrite_the_books(till: Till, statement: str) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.settle("r1", 10)
    till.drain()

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("statement", "invariant"),
    [
        ("UPDATE billing_wallet SET posted_credits = posted_credits - 1", 1),
        ("UPDATE billing_lot SET remaining_credits = remaining_credits - 1", 6),
        ("UPDATE billing_usagerecord SET charged_credits = 11, target_credits = 11", 5),
        ("UPDATE billing_usagerecord SET prompt_tokens = 7", 5),
    ],
)
@pytest.mark.usefixtures("unchecked_books")
def test_the_audit_names_a_row_that_was_altered_by_hand(
    till: Till, statement: str, invariant: int
) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.settle("r1", 10)
    till.drain()
    with connection.cursor() as cursor:
        cursor.execute(statement)

    findings = audit()

    assert invariant in {finding.invariant for finding in findings}


def test_debits_that_are_refused_do_not_keep_the_others_waiting(
    till: Till,
) -> None:
    till.grant(100)
    for amount in (2**60, 30):
        debit = Debit(
            wallet=till.wallet, kind="clawback", reference=f"r:{amount}", amount_credits=amount
        )
        debit.save()

    # Whichever comes first, and it is the refused one each time once in 2**64.
    for _ in range(64):
        decide_open(most=1)

    assert till.balance().available_credits == 70


def test_it_leaves_a_shard_to_the_worker_that_is_at_it(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 300)
    till.settle("r1", 120)

    with transaction.atomic():
        assert try_lock_name(f"drain of shard {till.shard}")
        booked_meanwhile = in_a_thread(till.drain)

    assert booked_meanwhile == 0
    assert till.drain() == 1
    assert audit(at_rest=True) == []
