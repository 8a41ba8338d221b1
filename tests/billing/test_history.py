"""A made history adds up, and is never made where people buy."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models import User
from billing.audit.books import audit
from billing.ledger.wallets import wallet_of
from billing.models import Lot, Order, UsageRecord, UsageRollUp, Wallet
from billing.rollups.rebuild import find_differences
from billing.rollups.sweep import roll_up
from billing.wallet.sync_client import SyncWalletClient
from tests import desk
from tests.till import Till

EVER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


def make(**options: int) -> str:
    told = StringIO()
    sizes = {"records": 3_000, "wallets": 7, "days": 40, "seed": 3, **options}
    call_command("make_history", stdout=told, **sizes)
    return told.getvalue()


def test_it_adds_up(redis_wallets: SyncWalletClient) -> None:
    told = make()

    assert UsageRecord.objects.count() == 3_000
    assert Wallet.objects.count() == 7
    assert Order.objects.count() == Lot.objects.count() > 7
    assert UsageRecord.objects.filter(write_off_credits__gt=0).exists()
    assert UsageRecord.objects.filter(charged_credits=0).exists()
    assert UsageRecord.objects.values("outcome").distinct().count() == 4
    assert find_differences(*EVER) == []
    assert audit(at_rest=True) == []
    assert "done: 3,000 requests of 7 customers" in told


def test_another_seed_adds_others(redis_wallets: SyncWalletClient) -> None:
    make(records=200)
    make(records=200, seed=4)

    with pytest.raises(CommandError, match="seed 3 is here already"):
        make(records=200)

    charges = UsageRecord.objects.order_by("pk").values_list("charged_credits", flat=True)
    assert list(charges[:200]) != list(charges[200:])
    assert audit(at_rest=True) == []


def test_a_made_customer_goes_on(alice: User, redis_wallets: SyncWalletClient) -> None:
    make(records=500, wallets=1)
    user = User.objects.get(email__endswith="history.example.com")
    before = wallet_of(user).posted_credits
    till = Till(user)

    till.place("r1", 100)
    till.settle("r1", 30)
    till.drain()
    roll_up()

    assert till.posted() == before - 30
    assert sum(UsageRollUp.objects.values_list("requests", flat=True)) == 501
    assert audit(at_rest=True) == []


@pytest.mark.parametrize("who", ["a customer", "a payment", "live"])
def test_it_refuses_where_people_buy(
    alice: User, settings: Settings, redis_wallets: SyncWalletClient, who: str
) -> None:
    if who == "a customer":
        wallet_of(User.objects.create_user("someone@a-company.com"))
    elif who == "a payment":
        desk.make_order(alice, stripe_charge_id="ch_1")
    else:
        settings.STRIPE_LIVE_MODE = True

    with pytest.raises(CommandError, match="Refused: "):
        make()

    assert UsageRecord.objects.count() == 0


@pytest.mark.parametrize("option", ["records", "wallets", "days", "seed"])
def test_it_refuses_sizes_that_make_no_sense(redis_wallets: SyncWalletClient, option: str) -> None:
    with pytest.raises(CommandError, match=f"--{option} must be between"):
        make(**{option: 0})
