"""PostgreSQL decides credits and states; Redis learns of each, sooner or later, once."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import transaction

from accounts.models import User
from billing.audit.books import audit
from billing.exceptions import WalletRecovering
from billing.ledger.bookings import book
from billing.ledger.credits import post_credit
from billing.ledger.pushes import push_call, push_due, push_wallets
from billing.ledger.references import RequestCharge
from billing.ledger.wallets import freeze_wallet, grant_credits, wallet_of
from billing.models import Wallet
from billing.wallet import keys
from billing.wallet.commands.command import parse_ok
from billing.wallet.commands.figures import Balance
from billing.wallet.events import read_event
from tests.billing.wallet.faults import RedisFaults
from tests.conftest import open_fences
from tests.till import Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_credit_is_available_as_soon_as_it_is_committed(till: Till) -> None:
    till.grant(100)

    assert till.balance() == Balance(100, 0, 100, 0)


def test_a_credit_that_is_rolled_back_is_not_pushed(till: Till) -> None:
    till.grant(100)

    with transaction.atomic():
        till.grant(50)
        transaction.set_rollback(True)

    assert till.balance().available_credits == 100
    assert audit(at_rest=True) == []


def test_an_older_push_changes_nothing(till: Till) -> None:
    till.grant(100)
    older = push_call(Wallet.objects.get(pk=till.wallet.pk))
    till.grant(50)
    till.place("r1", 30)

    parse_ok(till.client.ask(older))

    assert till.balance() == Balance(120, 30, 150, 0)


def test_the_same_push_twice_credits_once(till: Till) -> None:
    till.grant(100)

    for _ in range(3):
        push_wallets([till.wallet.pk])

    assert till.balance().available_credits == 100


def test_pushes_in_any_order_end_at_the_newest(till: Till) -> None:
    pushes = []
    push_wallets([till.wallet.pk])
    for amount in (100, 50, 7):
        with till.redis_away():
            till.grant(amount)
            pushes.append(push_call(Wallet.objects.get(pk=till.wallet.pk)))
    open_fences(till.client)

    for call in (pushes[1], pushes[0], pushes[2], pushes[1]):
        parse_ok(till.client.ask(call))

    assert till.balance().available_credits == 157


def test_a_push_that_was_lost_is_repeated(till: Till) -> None:
    till.grant(100)
    with till.redis_away():
        till.grant(50)
    open_fences(till.client)
    before = till.balance().available_credits

    assert (push_due(), push_due()) == (1, 0)

    assert (before, till.balance().available_credits) == (100, 150)
    assert audit(at_rest=True) == []


def test_a_push_does_not_undo_what_was_spent_and_not_booked(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.settle("r1", 60)

    till.grant(50)

    assert till.balance() == Balance(90, 0, 90, 0)
    till.drain()
    assert audit(at_rest=True) == []


def test_a_push_between_a_booking_and_its_acknowledgement_takes_nothing_twice(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.settle("r1", 60)
    found = till.client.redis.xrange(keys.events(till.shard))
    with transaction.atomic():
        book([read_event(*item) for item in found])

    till.grant(50)

    before = till.balance()
    till.drain()
    assert before == till.balance() == Balance(90, 0, 90, 0)
    assert audit(at_rest=True) == []


def test_credits_and_charges_at_once_add_up(till: Till) -> None:
    till.grant(1_000)

    def spend(number: int) -> None:
        till.place(f"r{number}", 10)
        till.settle(f"r{number}", 10)
        till.drain()

    def earn(_: int) -> None:
        till.grant(5)

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(in_a_thread, partial(work, number))
            for number in range(20)
            for work in (spend, earn)
        ]

        for job in jobs:
            job.result()

    till.drain()
    push_due()
    assert (till.posted(), till.balance().available_credits) == (900, 900)
    assert audit(at_rest=True) == []


def test_one_wallet_that_can_not_be_pushed_does_not_stop_the_others(till: Till, bob: User) -> None:
    till.grant(100)
    grant_credits(wallet_of(bob), credits=100, reason="test")
    # What can't be: Redis saw more credits than PostgreSQL ever decided.
    till.client.redis.hset(f"{{{till.shard}}}:wallet:{till.wallet.pk}", "credited", 999)
    with till.redis_away():
        till.grant(50)
        grant_credits(wallet_of(bob), credits=50, reason="test")
    open_fences(till.client)

    push_due()

    assert till.client.read_balance(wallet_of(bob).pk).available_credits == 150
    wallet = Wallet.objects.get(pk=till.wallet.pk)
    assert wallet.pushed_version < wallet.version


def test_a_wallet_that_redis_does_not_know_starts_at_what_is_posted(till: Till) -> None:
    till.grant(100)
    till.place("r1", 30)
    till.settle("r1", 30)
    till.drain()
    till.client.redis.delete(f"{{{till.shard}}}:wallet:{till.wallet.pk}")

    push_wallets([till.wallet.pk])

    assert till.balance() == Balance(70, 0, 70, 0)


def test_nothing_is_pushed_while_the_wallets_are_rebuilt(till: Till, faults: RedisFaults) -> None:
    till.grant(100)
    faults.flush()

    with pytest.raises(WalletRecovering):
        push_wallets([till.wallet.pk])


def test_freezing_while_redis_is_away_holds_when_it_is_back(till: Till) -> None:
    till.grant(100)
    with till.redis_away():
        freeze_wallet(till.wallet, reason="looked stolen")
    open_fences(till.client)
    push_due()

    with pytest.raises(Exception, match="FROZEN"):
        till.place("r1", 10)


def test_debt_is_paid_before_redis_hears_of_the_credit(till: Till) -> None:
    Wallet.objects.filter(pk=till.wallet.pk).update(debt_credits=30)

    post_credit(
        till.wallet.pk, kind="purchase", amount_credits=100, reference=RequestCharge("order_1")
    )

    assert till.balance() == Balance(70, 0, 70, 0)
