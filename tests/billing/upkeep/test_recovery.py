"""Redis was lost, in part or whole: nobody loses a credit, nobody gains one."""

import contextlib
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis
from django.core.management import call_command
from django.db import connection, transaction
from pytest_django import Settings

from accounts.models import User
from billing.audit.books import audit
from billing.exceptions import (
    CapReached,
    InsufficientCredits,
    UnsafeRedis,
    WalletError,
    WalletRecovering,
)
from billing.ledger import bookings
from billing.ledger.debits import ask_debit, decide, decide_open
from billing.ledger.loads import load_wallets
from billing.ledger.member_spending import count_member
from billing.ledger.pushes import push_due
from billing.ledger.wallets import freeze_wallet, wallet_of
from billing.models import Debit, InboxItem, LedgerEntry, UsageRecord, Wallet
from billing.upkeep.drain import drain
from billing.upkeep.reaper import reap
from billing.upkeep.rebuild_plan import Journalled
from billing.upkeep.recovery import busiest_first, recover
from billing.upkeep.remains import Remains
from billing.wallet import keys, library, rebuild_barrier
from billing.wallet.commands import ending, placing, restoring
from billing.wallet.commands.figures import Balance
from billing.wallet.events import read_event
from billing.wallet.journal import Journal
from billing.wallet.limits import Caps
from billing.wallet.sync_client import get_sync_client
from devstack.valkey import Valkey
from tests.billing.wallet.faults import RedisFaults
from tests.billing.wallet.locks import count_locks, end_holders
from tests.conftest import open_fences
from tests.deaths import Death, die
from tests.racing import before_statement
from tests.redis_wire import before_command
from tests.till import Till, in_a_thread, limits
from tests.waiting import await_true

pytestmark = pytest.mark.django_db(transaction=True)


def rebuild() -> list[int]:
    """Recover as the worker does: also settle what was put back as ended."""
    shards = recover(grace_s=0)
    reap()
    return shards


def book_all_but_acknowledge_none(till: Till) -> None:
    found = till.client.redis.xrange(keys.events(till.shard))
    with transaction.atomic():
        bookings.book([read_event(*item) for item in found])


@pytest.fixture(params=["kill_and_restart", "flush", "lose_everything"])
def lose_redis(request: pytest.FixtureRequest, faults: RedisFaults) -> Callable[[], None]:
    lose: Callable[[], None] = getattr(faults, request.param)
    return lose


def test_nothing_works_until_the_rebuild_and_everything_after(
    till: Till, lose_redis: Callable[[], None]
) -> None:
    till.grant(1_000)

    lose_redis()
    with pytest.raises(WalletRecovering):
        till.balance()

    assert recover(grace_s=0) == list(range(keys.SHARDS))
    assert till.balance() == Balance(1_000, 0, 1_000, 0)
    assert audit(at_rest=True) == []


def test_a_busy_shard_serves_before_the_last_one_is_rebuilt(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(1_000)
    till.start("open", 100, journal=journal)
    faults.flush()
    seen: list[Balance] = []

    with before_command("tp_open", lambda: seen.append(till.balance()), nth=keys.SHARDS):
        recover(grace_s=0)

    assert seen == [Balance(900, 100, 1_000, 0)]


def test_shards_with_more_under_way_come_first() -> None:
    idle, held = Remains(3, [], {}, ["r0"]), Remains(9, [], {"r1": 5}, [])

    assert busiest_first([idle, held], {}) == [held, idle]


def test_after_redis_lost_all_the_journals_tell_which_shard_is_busy(till: Till) -> None:
    idle, busy = Remains(3, [], {}, []), Remains(9, [], {}, [])
    under_way = Journalled(open=[(till.facts("r1"), 5)])

    assert busiest_first([idle, busy], {9: under_way}) == [busy, idle]


def test_open_shards_are_left_alone(till: Till) -> None:
    assert recover(grace_s=0) == []


def test_what_was_booked_held_and_settled_is_there_again(
    till: Till, journal: Journal, lose_redis: Callable[[], None]
) -> None:
    till.grant(1_000)
    till.start("booked", 100, journal=journal)
    till.finish("booked", 10, journal=journal)
    till.drain()
    till.start("settled", 100, journal=journal)
    till.finish("settled", 20, journal=journal)
    till.start("open", 100, journal=journal)

    lose_redis()
    rebuild()

    assert till.balance() == Balance(1_000 - 10 - 20 - 100, 100, 970, 0)
    till.finish("open", 30, journal=journal)
    till.drain()
    assert audit(at_rest=True) == []
    assert till.posted() == 1_000 - 10 - 20 - 30


def test_a_rewound_redis_bills_what_it_forgot(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(1_000)
    till.start("held-then", 100, journal=journal)
    faults.back_up()
    till.finish("held-then", 40, journal=journal)
    till.start("begun-since", 200, journal=journal)
    till.finish("begun-since", 200, journal=journal)
    till.start("open-since", 300, journal=journal)

    faults.rewind()
    rebuild()

    assert till.balance() == Balance(1_000 - 40 - 200 - 300, 300, 760, 0)
    till.drain()
    assert till.receipt("held-then").charged_credits == 40
    assert till.receipt("begun-since").charged_credits == 200
    assert audit() == []


def test_a_rewound_redis_does_not_bill_again_what_is_booked(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(1_000)
    till.start("held-then", 100, journal=journal)
    till.start("settled-then", 100, journal=journal)
    till.finish("settled-then", 30, journal=journal)
    faults.back_up()
    till.finish("held-then", 40, journal=journal)
    till.drain()

    faults.rewind()
    rebuild()

    assert till.balance() == Balance(930, 0, 930, 0)
    assert (till.drain(), till.posted()) == (0, 930)
    assert audit(at_rest=True) == []


def test_a_hold_voided_since_the_back_up_holds_nothing(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("voided", 100, journal=journal)
    till.place("never-started", 0)
    faults.back_up()
    journal.void(till.facts("voided"))
    till.void("voided")
    till.start("after", 100, journal=journal)

    faults.rewind()
    rebuild()

    assert till.balance() == Balance(0, 100, 100, 0)
    assert UsageRecord.objects.count() == 0


def test_a_hold_that_no_journal_knows_never_had_an_upstream(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.place("no line", 100)

    faults.kill_and_restart()
    rebuild()

    assert till.balance() == Balance(100, 0, 100, 0)
    assert (till.drain(), UsageRecord.objects.count()) == (0, 0)


def test_events_booked_but_not_acknowledged_count_once(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.finish("r1", 40, journal=journal)
    book_all_but_acknowledge_none(till)

    faults.kill_and_restart()
    rebuild()

    assert till.balance() == Balance(960, 0, 960, 0)
    assert (till.drain(), till.posted()) == (0, 960)
    assert audit(at_rest=True) == []


def test_a_raise_of_which_a_part_is_booked_counts_the_rest(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.finish("r1", 40, journal=journal)
    book_all_but_acknowledge_none(till)
    till.finish("r1", 90, journal=journal)

    faults.kill_and_restart()
    rebuild()

    assert till.balance() == Balance(910, 0, 910, 0)
    till.drain()
    assert (till.receipt("r1").charged_credits, till.posted()) == (90, 910)
    assert audit(at_rest=True) == []


def test_an_event_of_another_past_counts_only_what_is_not_booked(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.finish("r1", 90, journal=journal)
    faults.back_up()
    # In the other past, which was booked, it had cost less.
    (found,) = till.client.redis.xrange(keys.events(till.shard))
    other = replace(
        read_event(*found), target=50, charged=50, delta=50, settlement=till.settlement(50)
    )
    with transaction.atomic():
        bookings.book([other])

    faults.rewind()
    rebuild()

    assert till.balance() == Balance(910, 0, 910, 0)
    assert (till.drain(), till.posted()) == (1, 910)
    assert audit(at_rest=True) == []


def test_a_late_raise_after_a_rewind_starts_from_what_is_booked(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.settle("r1", 20)
    till.drain()
    faults.back_up()
    till.settle("r1", 50)
    till.drain()
    faults.rewind()
    rebuild()
    # Redis' own register of it is from before the raise to 50.

    journal.end(till.facts("r1"), till.settlement(90))
    with pytest.raises(WalletError):
        till.settle("r1", 90)
    till.client.ask(restoring.close(till.shard))
    rebuild()
    till.drain()

    assert (till.receipt("r1").charged_credits, till.posted()) == (90, 910)
    assert till.balance() == Balance(910, 0, 910, 0)
    assert audit(at_rest=True) == []


def test_an_end_that_redis_forgot_is_charged_in_full_up_to_its_hold(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("r1", 60, journal=journal)
    till.finish("r1", 60, journal=journal)
    till.start("r2", 40, journal=journal)

    faults.flush()
    recover(grace_s=0)

    with pytest.raises(InsufficientCredits):
        till.place("r3", 1)
    reap()
    till.drain()
    assert till.receipt("r1").charged_credits == 60
    assert till.balance() == Balance(0, 40, 40, 0)


def test_an_end_keeps_only_what_it_cost_even_before_it_is_settled_again(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("r1", 100, journal=journal)
    till.finish("r1", 10, journal=journal)
    till.start("r2", 90, journal=journal)

    faults.flush()
    recover(grace_s=0)

    assert till.balance() == Balance(0, 100, 100, 0)


def test_an_end_leaves_others_their_holds_even_before_it_is_settled_again(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("first", 50, journal=journal)
    till.start("r1", 50, journal=journal)
    faults.back_up()
    till.finish("r1", 10, journal=journal)
    till.start("r2", 40, journal=journal)

    faults.rewind()
    recover(grace_s=0)

    # 50 + 10 + 40: nobody's hold has to shrink.
    assert till.finish("first", 50, journal=journal).charged_credits == 50
    assert till.balance() == Balance(0, 50, 50, 0)


def test_an_older_end_is_charged_before_those_that_still_run(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("r1", 33, journal=journal)
    till.finish("r1", 33, journal=journal)
    till.start("r2", 67, journal=journal)
    # Its line in the journal was lost, and its credits are held by another.
    till.client.ask(ending.void(till.facts("r2")))
    till.start("r3", 60, journal=journal)

    faults.flush()
    recover(grace_s=0)
    reap()
    till.drain()

    # 33 + 67 + 60 are 60 too many: what runs gives way.
    receipt = till.receipt("r1")
    assert (receipt.charged_credits, receipt.write_off_credits) == (33, 0)
    assert till.balance() == Balance(0, 67, 67, 0)


def test_a_debit_that_is_booked_but_not_acknowledged_counts_once(
    till: Till, faults: RedisFaults
) -> None:
    till.grant(100)
    ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="r:1", amount_credits=30))
    book_all_but_acknowledge_none(till)

    faults.kill_and_restart()
    rebuild()

    before = till.balance()
    till.drain()
    assert before == till.balance() == Balance(70, 0, 70, 0)
    assert audit(at_rest=True) == []


def test_a_debit_that_waits_to_be_booked_is_not_available_again(
    till: Till, faults: RedisFaults
) -> None:
    till.grant(100)
    ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="r:1", amount_credits=30))

    faults.kill_and_restart()
    recover(grace_s=0)

    assert till.balance() == Balance(70, 0, 70, 0)
    till.drain()
    assert till.posted() == 70
    assert audit(at_rest=True) == []


def test_an_end_of_which_nothing_else_is_under_way_keeps_what_it_cost(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("r1", 100, journal=journal)
    till.finish("r1", 25, journal=journal)

    faults.flush()
    recover(grace_s=0)

    assert till.balance() == Balance(75, 25, 100, 0)


def test_whoever_comes_second_leaves_the_rebuild_to_the_first(
    till: Till, faults: RedisFaults
) -> None:
    faults.flush()

    with rebuild_barrier.only_rebuilder() as is_mine:
        by_another = in_a_thread(lambda: recover(grace_s=0))

    assert (is_mine, by_another) == (True, [])
    assert len(recover(grace_s=0)) == keys.SHARDS


def test_an_end_that_was_journalled_but_never_sent_is_settled(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("r1", 60, journal=journal)
    journal.end(till.facts("r1"), till.settlement(25))

    faults.kill_and_restart()
    rebuild()
    till.settle("r1", 25)
    till.drain()

    assert (till.receipt("r1").charged_credits, till.posted()) == (25, 75)
    assert audit(at_rest=True) == []


def test_available_does_not_fall_below_0_whatever_was_lost(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("stopped", 100, journal=journal)
    till.client.ask(
        ending.reap(till.wallet.pk, "stopped", without_progress=till.settlement(0), is_dead=True)
    )
    till.start("next", 100, journal=journal)

    # The reaper's settlement is lost, and with it that its 100 credits were free again.
    faults.flush()
    recover(grace_s=0)

    assert till.balance() == Balance(0, 100, 100, 0)
    till.finish("stopped", 100, journal=journal)
    till.finish("next", 100, journal=journal)
    till.drain()
    charged = UsageRecord.objects.values_list("charged_credits", "write_off_credits")
    assert sorted(charged) == [(0, 100), (100, 0)]
    assert audit(at_rest=True) == []


@pytest.mark.parametrize(("taken", "left"), [(100, [0, 0]), (60, [30, 10]), (20, [30, 30])])
def test_what_was_decided_in_a_past_that_is_gone_takes_no_more_than_there_is(
    till: Till, faults: RedisFaults, taken: int, left: list[int]
) -> None:
    till.grant(100)
    for request in ("r1", "r2"):
        till.place(request, 30)
        till.settle(request, 30)
    faults.back_up()
    # Their journal is lost as well, so that their credits go elsewhere, and then they come back.
    faults.lose_everything()
    recover(grace_s=0)
    ask_debit(
        Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=taken)
    )
    till.drain()
    faults.rewind()

    recover(grace_s=0)

    rest = 100 - taken - sum(left)
    assert till.balance() == Balance(rest, 0, rest, 0)
    assert till.drain() == 2
    receipts = [till.receipt(request) for request in ("r1", "r2")]
    assert [receipt.charged_credits for receipt in receipts] == left
    assert [receipt.write_off_credits for receipt in receipts] == [30 - n for n in left]
    assert till.balance() == Balance(rest, 0, rest, 0)
    assert audit(at_rest=True) == []


def test_a_raise_of_what_was_cut_is_charged_what_there_is(till: Till, faults: RedisFaults) -> None:
    till.grant(100)
    till.place("r1", 50)
    till.settle("r1", 30)
    till.settle("r1", 40)
    faults.back_up()
    faults.lose_everything()
    recover(grace_s=0)
    ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=80))
    till.drain()
    faults.rewind()
    recover(grace_s=0)

    # 20 are left, of which the first ending takes all and the raises nothing, until there is more.
    till.settle("r1", 45)
    till.grant(10)
    till.settle("r1", 50)
    till.drain()

    assert (till.receipt("r1").charged_credits, till.receipt("r1").write_off_credits) == (30, 20)
    assert till.balance() == Balance(0, 0, 0, 0)
    assert audit(at_rest=True) == []


def test_progress_survives_a_restart(till: Till, journal: Journal, faults: RedisFaults) -> None:
    till.grant(100)
    till.start("r1", 60, journal=journal)
    till.extend("r1", 25)

    faults.kill_and_restart()
    rebuild()
    till.client.ask(ending.reap(till.wallet.pk, "r1", without_progress=None, is_dead=True))
    till.drain()

    assert till.receipt("r1").charged_credits == 25


def test_leases_are_renewed_because_nobody_could_do_it_meanwhile(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    placed = till.place("r1", 60, lease_ms=1)
    journal.start(till.facts("r1"), placed.held_credits)

    faults.kill_and_restart()
    recover(grace_s=0)

    assert (reap(), till.balance().held_credits) == (0, 60)


def test_a_clawback_that_redis_forgot_is_decided_again(till: Till, faults: RedisFaults) -> None:
    till.grant(100)
    ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=30))
    assert till.balance().available_credits == 70

    faults.flush()
    rebuild()
    decide_open()
    till.drain()

    assert (till.posted(), till.balance()) == (70, Balance(70, 0, 70, 0))
    assert audit(at_rest=True) == []


def test_a_clawback_that_is_booked_is_not_taken_again_after_a_rewind(
    till: Till, faults: RedisFaults
) -> None:
    till.grant(100)
    faults.back_up()
    debit = ask_debit(
        Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=30)
    )
    till.drain()

    faults.rewind()
    rebuild()
    load_wallets([till.wallet.pk])
    # A sweep that had read the debit as open before all of this.
    decide([debit.pk])

    assert till.balance() == Balance(70, 0, 70, 0)
    assert audit(at_rest=True) == []


def test_a_credit_after_the_snapshot_is_pushed(till: Till, faults: RedisFaults) -> None:
    till.grant(100)
    faults.flush()
    till.grant(50)

    rebuild()
    till.grant(7)

    assert till.balance() == Balance(157, 0, 157, 0)


def test_a_push_while_the_wallets_are_rebuilt_arrives_afterwards(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    # Something is under way, so that the rebuild writes the wallet.
    till.start("open", 0, journal=journal)
    faults.flush()

    # Behind the snapshot, before anything of it is written.
    with before_command("tp_restore_", lambda: till.grant(50)):
        recover(grace_s=0)
    before = till.balance().available_credits
    push_due()

    assert (before, till.balance().available_credits) == (100, 150)
    assert audit() == []


def test_a_freeze_survives_a_rewind(till: Till, faults: RedisFaults) -> None:
    till.grant(100)
    faults.back_up()
    freeze_wallet(till.wallet, reason="looked stolen")

    faults.rewind()
    rebuild()

    with pytest.raises(WalletError, match="FROZEN"):
        till.place("r1", 10)


@pytest.mark.parametrize("after", range(6))
def test_a_rebuild_that_dies_half_way_is_done_anew(
    till: Till, journal: Journal, faults: RedisFaults, after: int
) -> None:
    till.grant(1_000)
    till.start("settled", 100, journal=journal)
    till.finish("settled", 20, journal=journal)
    till.start("open", 100, journal=journal)
    till.start("lost", 100, journal=journal)
    faults.back_up()
    till.finish("lost", 30, journal=journal)
    faults.rewind()
    # Before the first step that writes, the second, …; the last call asks what is open.
    with pytest.raises(Death), before_command("FCALL", die, nth=after + 3):
        recover(grace_s=0, batch=1)

    rebuild()

    till.finish("open", 40, journal=journal)
    till.drain()
    assert till.posted() == 1_000 - 20 - 30 - 40
    assert audit(at_rest=True) == []


@pytest.mark.parametrize("fault", ["kill_and_restart", "flush", "rewind", "lose_everything"])
def test_a_redis_that_is_lost_again_while_it_is_rebuilt_stays_closed(
    till: Till, faults: RedisFaults, fault: str
) -> None:
    till.grant(1_000)
    faults.back_up()
    faults.flush()

    def lose_it_again() -> None:
        getattr(faults, fault)()
        # The client connects anew without a word, as it does when it has seen the server go.
        get_sync_client().redis.connection_pool.disconnect()

    # All shards but the last have been opened.
    with before_command("tp_open", lose_it_again, nth=keys.SHARDS), pytest.raises(WalletError):
        recover(grace_s=0, batch=1)

    with pytest.raises(WalletRecovering):
        till.client.read_balance(15)
    rebuild()
    assert till.balance() == Balance(1_000, 0, 1_000, 0)


def test_a_rebuild_that_was_overtaken_writes_nothing_more(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(1_000)
    till.start("open", 0, journal=journal)
    faults.flush()

    def sleep_through_another_rebuild() -> None:
        in_a_thread(lambda: end_holders(rebuild_barrier.REBUILDER))
        in_a_thread(rebuild)
        till.place("r1", 300)

    with (
        before_command("tp_restore_", sleep_through_another_rebuild),
        pytest.raises(WalletRecovering, match="another rebuild"),
    ):
        recover(grace_s=0)
    # Its session is gone; the next statement opens another.
    connection.close()

    assert till.balance() == Balance(700, 300, 1_000, 0)


def test_two_recoveries_at_once_rebuild_once(till: Till, faults: RedisFaults) -> None:
    till.grant(1_000)
    faults.flush()

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: in_a_thread(lambda: recover(grace_s=0)), range(4)))

    assert sum(len(shards) for shards in done) == keys.SHARDS
    assert till.balance() == Balance(1_000, 0, 1_000, 0)


def test_a_rebuild_waits_for_a_drain_that_is_half_way(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("r1", 60, journal=journal)
    till.finish("r1", 60, journal=journal)
    with ThreadPoolExecutor(1) as pool:

        def flush_and_rebuild() -> None:
            faults.flush()
            other = pool.submit(in_a_thread, lambda: recover(grace_s=0))
            in_a_thread(wait_for_lock)
            assert not other.done()

        # The acknowledgement finds the shard closed, or the event gone.
        with (
            before_statement('COPY "billing_usagerecord"', flush_and_rebuild),
            contextlib.suppress(WalletRecovering),
        ):
            drain()

    reap()
    till.drain()
    assert (till.posted(), till.balance()) == (40, Balance(40, 0, 40, 0))
    assert LedgerEntry.objects.filter(kind="usage").count() == 1
    assert audit(at_rest=True) == []


def test_a_drain_of_a_closed_shard_books_nothing(till: Till, faults: RedisFaults) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.settle("r1", 60)
    till.client.ask(restoring.close(till.shard))

    with pytest.raises(WalletRecovering):
        drain()

    assert UsageRecord.objects.count() == 0


def test_an_event_that_can_not_be_booked_keeps_its_credits_through_a_rebuild(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(100)
    till.start("r1", 60, journal=journal)
    settlement = till.settlement(20, outcome="x" * 50)
    journal.end(till.facts("r1"), settlement)
    till.client.ask(ending.settle(till.facts("r1"), settlement))
    till.client.redis.xadd(keys.events(till.shard), {"kind": "nonsense"})
    of_nobody = event_of(till)
    till.client.redis.xadd(keys.events(till.shard), of_nobody | {"kind": "debit", "ref": "debit:x"})
    # As one of a release whose events named no key.
    of_nobody = {name: of_nobody[name] for name in of_nobody if name not in {b"key", b"month"}}
    till.client.redis.xadd(keys.events(till.shard), of_nobody | {"ref": "r0"})
    assert drain().stuck == 4

    faults.kill_and_restart()
    rebuild()

    assert till.balance() == Balance(80, 0, 80, 0)
    assert drain().stuck == 4
    assert InboxItem.objects.filter(kind="event_not_booked").count() == 4


def event_of(till: Till) -> dict[bytes | str, bytes | str | int]:
    """Return the fields of the first event of the till's shard, as one that takes nothing."""
    fields: dict[bytes | str, bytes | str | int]
    [(_, fields)] = till.client.redis.xrange(keys.events(till.shard), count=1)
    return fields | {b"delta": 0, b"charged": 0, b"target": 0}


UNSAFE = pytest.mark.parametrize(
    ("setting", "value", "good"),
    [("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "yes")],
)


def assert_is_not_used_until_it_is_safe(till: Till, setting: str, value: str, good: str) -> None:
    till.client.redis.config_set(setting, value)
    try:
        with pytest.raises(UnsafeRedis, match=r"noeviction|append-only"):
            recover(grace_s=0)
        with pytest.raises(WalletRecovering):
            till.balance()
    finally:
        till.client.redis.config_set(setting, good)

    assert recover(grace_s=0) == list(range(keys.SHARDS))


@UNSAFE
def test_a_server_that_is_made_unsafe_while_it_serves_is_used_no_more(
    till: Till, setting: str, value: str, good: str
) -> None:
    till.grant(100)

    assert_is_not_used_until_it_is_safe(till, setting, value, good)

    assert till.balance().available_credits == 100


@UNSAFE
def test_a_server_that_could_lose_money_is_not_used(
    till: Till, faults: RedisFaults, setting: str, value: str, good: str
) -> None:
    faults.flush()

    assert_is_not_used_until_it_is_safe(till, setting, value, good)


def test_a_server_that_somebody_else_keeps_may_go_without_a_file(
    till: Till, journal: Journal, faults: RedisFaults, settings: Settings
) -> None:
    settings.REDIS_DURABILITY = "managed"
    till.grant(1_000)
    till.start("open", 100, journal=journal)
    till.start("ended", 50, journal=journal)
    till.finish("ended", 20, journal=journal)
    redis = till.client.redis
    redis.config_set("appendonly", "no")
    try:
        # What a failover to an empty replica leaves.
        faults.flush()
        rebuild()
        assert till.balance() == Balance(1_000 - 100 - 20, 100, 980, 0)
    finally:
        redis.config_set("appendonly", "yes")


def test_a_server_that_evicts_is_not_used_whoever_keeps_it(till: Till, settings: Settings) -> None:
    settings.REDIS_DURABILITY = "managed"

    assert_is_not_used_until_it_is_safe(till, "maxmemory-policy", "allkeys-lru", "noeviction")


def test_a_server_that_is_full_and_evicts_can_still_be_closed(till: Till) -> None:
    redis = till.client.redis
    # Nothing may be evicted of this kind, so that every write is refused.
    redis.config_set("maxmemory-policy", "volatile-lru")
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(UnsafeRedis, match="noeviction"):
            recover(grace_s=0)
        with pytest.raises(WalletRecovering):
            till.balance()
    finally:
        redis.config_set("maxmemory", 0)
        redis.config_set("maxmemory-policy", "noeviction")

    assert recover(grace_s=0) == list(range(keys.SHARDS))


def test_another_library_is_replaced_and_the_wallets_rebuilt(till: Till) -> None:
    till.grant(100)
    source = loaded_source(till)
    older = source.replace("local VERSION = ", "local VERSION = '0' --")
    till.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", older)

    assert recover(grace_s=0) == list(range(keys.SHARDS))

    assert int(till.client.redis.execute_command("FCALL", "tp_version", 0)) > 0
    assert till.balance().available_credits == 100


@pytest.fixture
def older(till: Till) -> str:
    """An older library, which the next worker replaces; all shards are open."""
    older = library.read_source().replace("local VERSION = ", "local VERSION = '0' --")
    till.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", older)
    open_fences(till.client)
    return older


def test_a_release_with_another_library_finds_open_what_was_open(till: Till, older: str) -> None:
    till.grant(1_000)
    bounds = limits(member=Caps(lifetime_credits=500))
    count_member(till.wallet.pk, till.member)
    till.place("r1", 100, bounds=bounds)

    assert recover(grace_s=0) == []

    assert loaded_source(till) == library.read_source()
    till.settle("r1", 40)
    assert till.balance() == Balance(960, 0, 960, 0)
    with pytest.raises(CapReached) as refused:
        till.place("r2", 461, bounds=bounds)
    assert refused.value.left_credits == 460
    till.drain()
    assert audit(at_rest=True) == []


def test_a_release_rebuilds_what_was_closed_and_nothing_else(till: Till, older: str) -> None:
    till.client.ask(restoring.close(till.shard))

    assert recover(grace_s=0) == [till.shard]


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("local LAYOUT = '2'", "local LAYOUT = '1'"),
        ("register_ending('tp_hand_over', serving(hand_over))\n", ""),
    ],
)
def test_a_release_rebuilds_what_it_can_not_take_over(
    till: Till, older: str, written: str, instead: str
) -> None:
    till.grant(100)
    assert written in older
    another = older.replace(written, instead)
    till.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", another)
    open_fences(till.client)

    assert recover(grace_s=0) == list(range(keys.SHARDS))

    assert till.balance() == Balance(100, 0, 100, 0)


def test_a_library_that_can_not_be_loaded_leaves_the_old_one_serving(till: Till) -> None:
    till.grant(100)

    with pytest.raises(redis.ResponseError, match="nowhere"):
        till.client.node_of(0).replace_library("#!lua name=tokenproxy_wallet\nnowhere()")

    assert till.balance() == Balance(100, 0, 100, 0)


def test_a_newer_library_is_left_to_the_newer_workers(till: Till) -> None:
    source = loaded_source(till)
    newer = source.replace(f"'{library.library_version(source)}'", "'99999'", 1)
    till.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", newer)

    recover(grace_s=0)

    assert till.client.redis.execute_command("FCALL", "tp_version", 0) == b"99999"


@pytest.mark.parametrize(("remark", "is_replaced"), [("-- Behind", True), ("-- Under", False)])
def test_of_two_libraries_of_one_version_every_worker_prefers_the_same(
    till: Till, remark: str, is_replaced: bool
) -> None:
    # Not what is loaded: that may be another test's.
    ours = library.read_source()
    other = ours.replace("\n-- The wallets", f"\n{remark}\n-- The wallets", 1)
    assert (other < ours) == is_replaced
    till.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", other)

    recover(grace_s=0)

    assert loaded_source(till) == (ours if is_replaced else other)


def loaded_source(till: Till) -> str:
    source: bytes = till.client.redis.execute_command("FUNCTION", "LIST", "WITHCODE")[0][-1]
    return source.decode()


def test_rebuilding_from_a_shell_changes_nothing(
    till: Till, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    before = till.balance()

    call_command("rebuild_wallet")

    assert till.balance() == before
    assert "Rebuilt 16 shards" in capsys.readouterr().out


def test_a_shell_sees_how_far_a_rebuild_is(
    till: Till, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    till.start("open", 0, journal=journal)

    call_command("rebuild_wallet", verbosity=2)

    told = capsys.readouterr().err.splitlines()
    assert sum("wallets to write" in line for line in told) == keys.SHARDS
    assert sum("1 wallets to write" in line for line in told) == 1


def test_a_rebuild_that_a_shell_stops_is_finished_by_a_worker(till: Till) -> None:
    till.grant(1_000)
    with pytest.raises(Death), before_command("tp_open", die, nth=3):
        call_command("rebuild_wallet")

    left = recover(grace_s=0)

    assert 0 < len(left) < keys.SHARDS
    assert till.balance() == Balance(1_000, 0, 1_000, 0)


def test_a_rebuild_that_was_stopped_breaks_nobodys_transaction(till: Till) -> None:
    for number in range(keys.SHARDS):
        wallet_of(User.objects.create_user(f"person{number}@example.com"))
    with pytest.raises(Death) as stopped, before_command("tp_open", die, nth=3):
        call_command("rebuild_wallet")

    with transaction.atomic():
        list(Wallet.objects.all())
        # Until now its error kept what was under way in memory.
        del stopped
        gc.collect()
        assert Wallet.objects.count() == keys.SHARDS + 1


def test_ten_thousand_holds_and_events_come_back(
    till: Till, journal: Journal, valkey_server: Valkey
) -> None:
    till.grant(1_000_000)
    holds = [till.hold_request(f"r{n}", 10) for n in range(2_000)]
    till.client.ask_many(
        [
            placing.place(hold, lease_ms=60_000, limit=placing.BacklogLimit(9**9, 9**9))
            for hold in holds
        ]
    )
    for hold in holds:
        journal.start(hold.facts, 10)
    for hold in holds[:1_000]:
        journal.end(hold.facts, till.settlement(7))
    till.client.ask_many([ending.settle(hold.facts, till.settlement(7)) for hold in holds[:1_000]])

    RedisFaults(valkey_server, valkey_server.folder / "unused").flush()
    rebuild()

    assert till.balance() == Balance(1_000_000 - 17_000, 10_000, 993_000, 0)
    assert till.drain() == 1_000
    assert audit() == []


def wait_for_lock() -> None:
    await_true(lambda: count_locks(granted=False), what="somebody to wait for the barrier")
