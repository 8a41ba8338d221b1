"""A lease ran out: nobody renews the hold, so it ends."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from billing.audit.books import audit
from billing.exceptions import WalletRecovering
from billing.models import UsageRecord
from billing.upkeep.reaper import reap
from billing.wallet import keys
from billing.wallet.commands.ending import Reaped
from billing.wallet.commands.figures import Balance
from billing.wallet.journal import Journal
from tests.billing.wallet.faults import RedisFaults
from tests.redis_wire import before_command
from tests.till import Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)


def end_lease(till: Till, *request_ids: str) -> None:
    till.client.redis.zadd(keys.leases(till.shard), dict.fromkeys(request_ids, 1))


def test_a_hold_whose_lease_ran_out_is_charged_its_progress(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.extend("r1", 25)
    end_lease(till, "r1")

    assert reap() == 1

    till.drain()
    receipt = till.receipt("r1")
    assert (receipt.charged_credits, receipt.outcome, till.posted()) == (25, "abandoned", 975)
    assert audit(at_rest=True) == []


def test_a_hold_that_was_started_without_progress_costs_nothing(
    till: Till, journal: Journal
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    end_lease(till, "r1")

    reap()

    till.drain()
    assert (till.receipt("r1").charged_credits, till.balance().available_credits) == (0, 1_000)


def test_a_hold_whose_upstream_was_asked_is_charged_what_the_journal_says(
    till: Till, journal: Journal
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.ask("r1", 100, 8, journal=journal)
    end_lease(till, "r1")

    reap()

    till.drain()
    assert (till.receipt("r1").charged_credits, till.balance().available_credits) == (8, 992)
    assert audit(at_rest=True) == []


def test_a_hold_that_no_journal_knows_leaves_no_receipt(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 100)
    end_lease(till, "r1")

    assert reap() == 1

    assert (till.client.redis.xlen(keys.events(till.shard)), till.drain()) == (0, 0)
    assert (UsageRecord.objects.count(), till.balance()) == (0, Balance(1_000, 0, 1_000, 0))


def test_a_hold_that_was_to_be_voided_leaves_no_receipt(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    journal.void(till.facts("r1"))
    end_lease(till, "r1")

    reap()

    till.drain()
    assert UsageRecord.objects.count() == 0


def test_a_renewed_hold_lives(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 100)
    end_lease(till, "r1")
    till.extend("r1", 25, lease_ms=60_000)

    assert (reap(), till.balance().held_credits) == (0, 100)


def test_a_lease_that_is_renewed_while_it_is_looked_at_lives(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 100)
    end_lease(till, "r1")

    with before_command("tp_reap", lambda: till.extend("r1", 25)):
        reaped = reap()

    assert (reaped, till.balance().held_credits) == (0, 100)


def test_a_hold_settled_meanwhile_is_charged_once(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 100)
    till.settle("r1", 40)
    end_lease(till, "r1")

    assert reap() == 0

    assert till.reap("r1") is Reaped.ENDED
    assert till.balance() == Balance(960, 0, 960, 0)
    assert till.client.redis.zcard(keys.leases(till.shard)) == 0


def test_a_reaped_hold_that_ends_after_all_is_raised(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.extend("r1", 25)
    end_lease(till, "r1")
    reap()

    settled = till.finish("r1", 90, journal=journal)

    till.drain()
    assert (settled.charged_credits, till.receipt("r1").charged_credits) == (90, 90)
    assert audit(at_rest=True) == []


def test_a_lease_without_a_hold_is_dropped(till: Till) -> None:
    end_lease(till, "nobody")

    assert reap() == 0

    assert till.client.redis.zcard(keys.leases(till.shard)) == 0


def test_many_workers_reap_each_hold_once(till: Till) -> None:
    till.grant(1_000)
    names = [f"r{number}" for number in range(40)]
    for name in names:
        till.place(name, 10)
        till.extend(name, 2)
    end_lease(till, *names)

    with ThreadPoolExecutor(4) as pool:
        reaped = list(pool.map(lambda _: in_a_thread(lambda: reap(batch=7)), range(4)))

    till.drain()
    assert (sum(reaped), till.posted()) == (40, 1_000 - 40 * 2)
    assert audit(at_rest=True) == []


def test_nothing_is_reaped_while_the_wallets_are_rebuilt(till: Till, faults: RedisFaults) -> None:
    till.grant(1_000)
    till.place("r1", 100, lease_ms=1)
    faults.kill_and_restart()
    time.sleep(0.002)

    with pytest.raises(WalletRecovering):
        reap()
