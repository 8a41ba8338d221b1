"""Receipts of the release before members had caps count for who made their keys."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.models import User
from billing.audit.books import audit
from billing.models import MemberSpending, UsageRecord
from tests.till import Till

BEFORE = [("billing", "0014_wallets_of_teams")]


def migrate_to_the_latest() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.fixture
def before(transactional_db: None) -> Iterator[None]:
    """Undo a test's way back, whatever becomes of it."""
    yield
    migrate_to_the_latest()


def test_old_receipts_count_for_who_made_their_key(before: None, alice: User, bob: User) -> None:
    tills = Till(alice), Till(alice), Till(bob)
    for number, till in enumerate(tills):
        till.grant(1_000)
        for target in (10, 5):
            till.place(f"r{number}-{target}", 100)
            till.settle(f"r{number}-{target}", target * (number + 1))
        till.drain()
    expected = {alice.pk: 15 + 30, bob.pk: 45}
    MigrationExecutor(connection).migrate(BEFORE)

    migrate_to_the_latest()

    spent = MemberSpending.objects.values_list("member", "charged_credits")
    assert dict(spent) == expected
    makers = UsageRecord.objects.values_list("member", "api_key__created_by")
    assert [member for member, _ in makers] == [maker for _, maker in makers]
    assert makers.count() == 6
    assert audit() == []
