"""Lots and sales of the release before margins are filled in from their orders."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Sum

from accounts.models import User
from billing.audit.books import audit
from billing.models import Lot, Revenue, RollUpMark, SiteRollUp, UsageRecord, UsageRollUp
from billing.rollups.sweep import roll_up
from tests.billing.audit.eventful import let_all_happen
from tests.till import Till

BEFORE = [("billing", "0019_notices_of_leaps")]


def migrate_to_the_latest() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.fixture
def before(transactional_db: None) -> Iterator[None]:
    """Undo a test's way back, whatever becomes of it."""
    yield
    migrate_to_the_latest()


def lots() -> list[tuple[int, str, int | None]]:
    return list(Lot.objects.order_by("pk").values_list("pk", "currency", "paid_micros"))


def revenue() -> list[tuple[int, int]]:
    rows = Revenue.objects.order_by("order").values_list("order")
    return list(rows.annotate(sum=Sum("micros")))


def migrate_there_and_back() -> None:
    MigrationExecutor(connection).migrate(BEFORE)
    migrate_to_the_latest()


def test_old_lots_and_sales_are_what_their_orders_say(before: None, till: Till, bob: User) -> None:
    let_all_happen(till, bob)
    # The release before knows no second row of a receipt.
    for model in (UsageRollUp, SiteRollUp, RollUpMark):
        model.objects.all().delete()
    lots_before, revenue_before = lots(), revenue()
    assert any(micros for _, _, micros in lots_before)

    migrate_there_and_back()

    assert lots() == lots_before
    assert revenue() == revenue_before
    assert not UsageRecord.objects.exclude(income_micros=None).exists()
    assert audit() == []


def test_old_roll_ups_count_what_is_not_known(before: None, till: Till) -> None:
    till.grant(100)
    for name in ("r1", "r2"):
        till.place(name, 10)
        till.settle(name, 10)
    till.drain()
    roll_up()

    migrate_there_and_back()

    counted = SiteRollUp.objects.aggregate(all=Sum("requests"), old=Sum("unknown_income_requests"))
    assert counted == {"all": 2, "old": 2}
    assert audit() == []
