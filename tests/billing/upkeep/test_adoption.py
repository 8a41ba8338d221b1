"""A web process died: the worker gives each of its requests an end."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from billing.audit.books import audit
from billing.exceptions import WalletRecovering
from billing.models import InboxItem, LedgerEntry, UsageRecord
from billing.upkeep.adoption import adopt_journals
from billing.upkeep.recovery import recover
from billing.wallet import keys
from billing.wallet.commands.figures import Balance
from billing.wallet.journal import Journal, journal_files
from tests.billing.wallet.faults import RedisFaults
from tests.till import Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)


def adopt_and_book(till: Till) -> None:
    """Adopt, book, and adopt again: only what is booked lets a file go."""
    adopt_journals()
    till.drain()
    adopt_journals()


def forget_register(till: Till, request_id: str) -> None:
    """As the end of its time to live does."""
    till.client.redis.delete(keys.hold(till.wallet.pk, request_id))


def test_an_end_that_redis_was_not_told_is_charged(
    till: Till, journal: Journal, journal_dir: Path
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    journal.end(till.facts("r1"), till.settlement(40))
    journal.close()

    adopt_and_book(till)

    assert till.receipt("r1").charged_credits == 40
    assert journal_files(journal_dir) == []
    assert audit(at_rest=True) == []


def test_a_request_that_died_in_the_middle_is_charged_its_progress(
    till: Till, journal: Journal
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.extend("r1", 25)
    journal.close()

    adopt_and_book(till)

    receipt = till.receipt("r1")
    assert (receipt.charged_credits, receipt.outcome) == (25, "abandoned")
    assert audit(at_rest=True) == []


def test_a_request_without_progress_leaves_a_receipt_at_no_charge(
    till: Till, journal: Journal
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    journal.close()

    adopt_and_book(till)

    assert (till.receipt("r1").charged_credits, till.posted()) == (0, 1_000)
    assert audit(at_rest=True) == []


def test_a_request_that_its_upstream_was_sent_is_charged_what_the_journal_says(
    till: Till, journal: Journal
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.ask("r1", 100, 8, journal=journal)
    journal.close()

    adopt_and_book(till)

    receipt = till.receipt("r1")
    assert (receipt.charged_credits, receipt.outcome) == (8, "abandoned")
    assert audit(at_rest=True) == []


def test_progress_in_redis_counts_more_than_the_journal(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.ask("r1", 100, 8, journal=journal)
    till.extend("r1", 25)
    journal.close()

    adopt_and_book(till)

    assert till.receipt("r1").charged_credits == 25


def test_a_request_that_its_upstream_refused_is_charged_nothing(
    till: Till, journal: Journal
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.ask("r1", 100, 8, journal=journal)
    journal.refused(till.facts("r1"), 100)
    journal.close()

    adopt_and_book(till)

    assert (till.receipt("r1").charged_credits, till.posted()) == (0, 1_000)


def test_what_the_journal_says_is_charged_although_redis_forgot_the_hold(
    till: Till, journal: Journal
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.ask("r1", 100, 8, journal=journal)
    forget_register(till, "r1")
    journal.close()

    adopt_and_book(till)

    assert (till.receipt("r1").charged_credits, till.posted()) == (8, 992)


def test_a_hold_that_was_to_be_voided_is_voided_and_leaves_no_receipt(
    till: Till, journal: Journal, journal_dir: Path
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    journal.void(till.facts("r1"))
    journal.close()

    adopt_and_book(till)

    assert till.balance() == Balance(1_000, 0, 1_000, 0)
    assert UsageRecord.objects.count() == 0
    assert journal_files(journal_dir) == []


def test_a_living_process_is_left_alone(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)

    adopt_and_book(till)

    assert till.balance().held_credits == 100


def test_a_rotated_file_of_a_living_process_settles_what_ended_in_it_only(
    till: Till, journal: Journal, journal_dir: Path
) -> None:
    till.grant(1_000)
    till.start("open", 100, journal=journal)
    till.start("ended", 100, journal=journal)
    journal.end(till.facts("ended"), till.settlement(40))
    journal.rotate_bytes = 1
    journal.rotate_if_due()

    adopt_and_book(till)

    assert till.balance() == Balance(860, 100, 960, 0)
    assert len(journal_files(journal_dir)) == 1
    journal.end(till.facts("open"), till.settlement(5))
    journal.close()
    adopt_and_book(till)
    assert (till.receipt("open").charged_credits, till.posted()) == (5, 955)


def test_a_file_stays_until_everything_in_it_is_booked(
    till: Till, journal: Journal, journal_dir: Path
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.finish("r1", 40, journal=journal)
    journal.close()

    finished = [adopt_journals()]
    till.drain()
    finished.append(adopt_journals())

    assert finished == [0, 1]


def test_adopting_again_and_again_charges_once(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    journal.end(till.facts("r1"), till.settlement(40))
    journal.close()

    for _ in range(4):
        adopt_journals()

    assert till.balance() == Balance(960, 0, 960, 0)


def test_two_workers_that_adopt_at_once_charge_once(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    for number in range(50):
        till.start(f"r{number}", 10, journal=journal)
        journal.end(till.facts(f"r{number}"), till.settlement(10))
        forget_register(till, f"r{number}")
    till.client.redis.hset(keys.wallet(till.wallet.pk), mapping={"held": 0, "open": 0})
    till.client.redis.delete(keys.leases(till.shard), keys.api_key(till.wallet.pk, till.key.pk))
    journal.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: in_a_thread(adopt_journals), range(4)))
    till.drain()

    assert (till.posted(), UsageRecord.objects.count()) == (500, 50)
    assert audit(at_rest=True) == []


def test_an_end_after_redis_forgot_the_request_raises_what_is_booked(
    till: Till, journal: Journal
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.settle("r1", 30)
    till.drain()
    forget_register(till, "r1")
    journal.end(till.facts("r1"), till.settlement(90))
    journal.close()

    adopt_and_book(till)

    assert (till.receipt("r1").charged_credits, till.posted()) == (90, 910)
    amounts = LedgerEntry.objects.filter(kind="usage").order_by("pk")
    assert list(amounts.values_list("amount_credits", flat=True)) == [-30, -60]
    assert audit(at_rest=True) == []


def test_a_late_end_takes_no_more_than_is_available(till: Till, journal: Journal) -> None:
    till.grant(100)
    till.start("r1", 60, journal=journal)
    till.settle("r1", 0)
    till.drain()
    forget_register(till, "r1")
    till.place("r2", 90)
    journal.end(till.facts("r1"), till.settlement(60))
    journal.close()

    adopt_and_book(till)

    receipt = till.receipt("r1")
    assert (receipt.charged_credits, receipt.write_off_credits) == (10, 50)
    assert till.balance() == Balance(0, 90, 90, 0)


def test_a_replay_after_the_reaper_raises_the_charge(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.reap("r1", is_dead=True)
    till.drain()
    journal.end(till.facts("r1"), till.settlement(40))
    journal.close()

    adopt_and_book(till)

    assert (till.receipt("r1").charged_credits, till.receipt("r1").outcome) == (40, "completed")
    assert audit(at_rest=True) == []


def test_nothing_is_adopted_while_the_wallets_are_rebuilt(
    till: Till, journal: Journal, journal_dir: Path, faults: RedisFaults
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    journal.close()
    faults.flush()

    with pytest.raises(WalletRecovering):
        adopt_journals()

    assert len(journal_files(journal_dir)) == 1


def test_a_late_journal_is_settled_though_its_wallet_is_not_loaded(
    till: Till, journal: Journal, faults: RedisFaults
) -> None:
    till.grant(1_000)
    faults.flush()
    recover(grace_s=0)
    # As of a process that was stopped for longer than the rebuild waited.
    journal.start(till.facts("r1"), 100)
    journal.end(till.facts("r1"), till.settlement(40))
    journal.close()

    adopt_and_book(till)

    assert till.receipt("r1").charged_credits == 40
    assert till.balance() == Balance(960, 0, 960, 0)
    assert audit(at_rest=True) == []


def test_a_damaged_file_is_put_aside_for_a_person(
    till: Till, journal: Journal, journal_dir: Path
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    (path,) = journal_files(journal_dir)
    with path.open("ab") as file:
        file.write(b"\x00\x00\n")
    journal.end(till.facts("r1"), till.settlement(40))
    journal.close()

    adopt_and_book(till)

    assert till.receipt("r1").charged_credits == 40
    assert InboxItem.objects.get().kind == "journal_damaged"
    assert [p.suffix for p in journal_dir.iterdir()] == [".damaged"]


def test_the_leftover_of_a_process_that_did_nothing_is_removed(
    till: Till, journal: Journal, journal_dir: Path
) -> None:
    journal.close()

    assert adopt_journals() == 1
    assert list(journal_dir.iterdir()) == []
