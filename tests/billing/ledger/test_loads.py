"""A wallet is loaded when it is first asked for: as PostgreSQL has it, once, and into one epoch."""

from collections.abc import Callable

import pytest
from django.db import transaction

from accounts.models import User
from billing.audit.books import audit
from billing.exceptions import CapReached, WalletRecovering
from billing.ledger.balances import read_balance
from billing.ledger.debits import ask_debit
from billing.ledger.loads import find_epochs, load_calls, load_wallets, read_books, send_loads
from billing.ledger.wallets import freeze_wallet, grant_credits, wallet_of
from billing.models import Debit
from billing.upkeep.loading import count_rest, find_loading, load_rest
from billing.upkeep.recovery import recover
from billing.wallet import keys
from billing.wallet.commands import restoring
from billing.wallet.commands.figures import Balance
from billing.wallet.hashes import ask_wallet
from tests.billing.wallet.faults import RedisFaults
from tests.redis_wire import before_command
from tests.till import Till, in_a_thread, limits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def unloaded(till: Till, faults: RedisFaults) -> Till:
    """A wallet of 1,000 credits, of which one request took 100, that a rebuild did not write."""
    till.grant(1_000)
    till.place("before", 100)
    till.settle("before", 100)
    till.drain()
    faults.kill_and_restart()
    recover(grace_s=0)
    return till


def spend(till: Till, request: str, amount: int) -> None:
    till.place(request, amount)
    till.settle(request, amount)
    till.drain()


def lose(faults: RedisFaults) -> None:
    faults.flush()
    recover(grace_s=0)


def test_a_rebuild_writes_no_wallet_of_which_nothing_is_under_way(unloaded: Till) -> None:
    epoch = unloaded.client.redis.get(keys.fence(unloaded.shard))

    values = unloaded.client.redis.execute_command(*ask_wallet(unloaded.wallet.pk))

    assert values[0] not in {None, epoch}


def test_the_first_call_finds_the_wallet_as_it_is_booked(unloaded: Till) -> None:
    assert unloaded.place("r1", 900).available_credits == 0
    assert unloaded.balance() == Balance(0, 900, 900, 0)
    assert unloaded.figures().spent_credits == 100


def test_a_cap_counts_what_was_spent_before_the_load(unloaded: Till) -> None:
    with pytest.raises(CapReached) as refused:
        unloaded.place("r1", 51, bounds=limits(lifetime=150))

    assert refused.value.left_credits == 50


def test_a_page_shows_what_is_booked_and_loads_nothing(unloaded: Till) -> None:
    assert read_balance(unloaded.wallet) == Balance(900, 0, 900, 0)
    assert find_loading()


def test_two_loads_load_once(unloaded: Till) -> None:
    def load_and_spend() -> None:
        assert load_wallets([unloaded.wallet.pk]) == 1
        unloaded.place("r1", 300)

    with before_command("tp_load", lambda: in_a_thread(load_and_spend)):
        assert load_wallets([unloaded.wallet.pk]) == 0

    assert unloaded.balance() == Balance(600, 300, 900, 0)


def test_what_was_spent_between_the_reading_and_the_load_stays_spent(unloaded: Till) -> None:
    with before_command("tp_load", lambda: in_a_thread(lambda: spend(unloaded, "r1", 300))):
        load_wallets([unloaded.wallet.pk])

    assert unloaded.balance() == Balance(600, 0, 600, 0)
    assert audit(at_rest=True) == []


def test_what_was_read_before_another_rebuild_is_not_loaded(
    unloaded: Till, faults: RedisFaults
) -> None:
    def spend_and_lose() -> None:
        spend(unloaded, "r1", 300)
        lose(faults)

    with (
        before_command("tp_load", lambda: in_a_thread(spend_and_lose)),
        pytest.raises(WalletRecovering),
    ):
        load_wallets([unloaded.wallet.pk])

    assert unloaded.balance() == Balance(600, 0, 600, 0)


def test_postgresql_is_read_after_the_epoch_was_asked_for(
    unloaded: Till, faults: RedisFaults
) -> None:
    def spend_and_lose() -> None:
        spend(unloaded, "r1", 300)
        lose(faults)

    with before_command("tp_epoch", lambda: in_a_thread(spend_and_lose)):
        load_wallets([unloaded.wallet.pk])

    assert unloaded.balance() == Balance(600, 0, 600, 0)


def test_nothing_is_loaded_within_a_transaction(unloaded: Till) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        load_wallets([unloaded.wallet.pk])


def test_a_closed_shard_keeps_no_other_from_being_loaded(unloaded: Till) -> None:
    closed = unloaded.wallet.pk + 1
    unloaded.client.ask(restoring.close(keys.shard_of(closed)))

    with pytest.raises(WalletRecovering):
        load_wallets([closed, unloaded.wallet.pk])

    assert unloaded.client.read_balance(unloaded.wallet.pk) == Balance(900, 0, 900, 0)


def test_a_credit_of_a_wallet_that_is_not_loaded_counts_once(unloaded: Till) -> None:
    unloaded.grant(50)

    assert unloaded.balance() == Balance(950, 0, 950, 0)
    assert audit(at_rest=True) == []


@pytest.mark.parametrize("change", [freeze_wallet], ids=["freeze"])
def test_a_change_binds_though_another_loads_what_was_before_it(
    unloaded: Till, change: Callable[..., None]
) -> None:
    books = read_books([unloaded.wallet.pk])
    epoch = find_epochs([unloaded.shard])[unloaded.shard]

    def load_what_was() -> None:
        assert send_loads(load_calls(unloaded.shard, books, epoch=epoch)) == 1

    with before_command("tp_load", load_what_was):
        change(unloaded.wallet, reason="looked stolen")

    with pytest.raises(Exception, match="FROZEN"):
        unloaded.place("r1", 10)


def test_a_clawback_loads_the_wallet_that_it_takes_from(unloaded: Till) -> None:
    ask_debit(Debit(wallet=unloaded.wallet, kind="clawback", reference="r:1", amount_credits=300))

    assert unloaded.balance() == Balance(600, 0, 600, 0)
    unloaded.drain()
    assert audit(at_rest=True) == []


def test_the_rest_is_loaded_and_noted(unloaded: Till, bob: User) -> None:
    grant_credits(wallet_of(bob), credits=70, reason="test")

    loaded = load_rest()

    # Bob's is there, because it was pushed.
    assert (loaded, load_rest(), find_loading()) == (1, 0, {})
    assert unloaded.client.read_balance(unloaded.wallet.pk) == Balance(900, 0, 900, 0)


def test_it_tells_how_many_are_left_to_load(unloaded: Till, bob: User) -> None:
    grant_credits(wallet_of(bob), credits=70, reason="test")
    before = count_rest()

    load_rest()

    assert (before, count_rest()) == (2, 0)


def test_what_is_noted_of_one_epoch_says_nothing_of_the_next(
    unloaded: Till, faults: RedisFaults
) -> None:
    load_rest()
    faults.kill_and_restart()
    recover(grace_s=0)

    assert len(find_loading()) == keys.SHARDS
    assert load_rest() == 1


def test_the_audit_finds_what_is_under_way_of_a_wallet_that_is_not_loaded(unloaded: Till) -> None:
    unloaded.place("r1", 300)
    unloaded.client.redis.hset(keys.wallet(unloaded.wallet.pk), "e", "another")

    assert [str(each) for each in audit(pause_s=0)] == [
        f"invariant 4: wallet {unloaded.wallet.pk}: it is not loaded, but has events or holds"
    ]


def test_the_audit_finds_a_wallet_that_is_gone_once_all_were_loaded(unloaded: Till) -> None:
    clean = audit()
    load_rest()
    unloaded.client.redis.delete(keys.wallet(unloaded.wallet.pk))

    assert clean == []
    assert [str(each) for each in audit(pause_s=0)] == [
        f"invariant 4: wallet {unloaded.wallet.pk}: Redis does not know it"
    ]
