"""Long books are audited a shard at a time, and no wallet is left out."""

import re
import time

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection

from billing.audit import shards
from billing.audit.books import audit, audit_hourly
from billing.audit.queries import QUERIES
from billing.models import InboxItem, UsageRecord
from billing.wallet import keys
from tests.till import Till

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def overcharged(till: Till) -> Till:
    """A wallet with a receipt that somebody altered."""
    till.grant(1_000)
    till.place("r1", 100)
    till.settle("r1", 40)
    till.drain()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        UsageRecord.objects.update(charged_credits=39, target_credits=39)
        cursor.execute("SET session_replication_role = origin")
    return till


def test_a_wallet_is_audited_in_its_own_shard(overcharged: Till) -> None:
    found = [shard for shard in range(keys.SHARDS) if audit(shard=shard, pause_s=0)]

    assert found == [overcharged.shard]


def test_a_shard_is_audited_as_closely_as_all(overcharged: Till) -> None:
    assert audit(shard=overcharged.shard, pause_s=0) == audit(pause_s=0)


def test_a_shard_has_its_part_of_every_table_that_a_query_reads() -> None:
    read = set(re.findall(r"\b(?:billing|accounts)_\w+", " ".join(sql for _, sql in QUERIES)))
    of_wallets = {
        model._meta.db_table
        for model in apps.get_app_config("billing").get_models()
        if any(field.name == "wallet" for field in model._meta.concrete_fields)
    }

    assert read & of_wallets <= shards.PARTS.keys() <= read


def test_short_books_are_audited_whole_each_hour(overcharged: Till) -> None:
    connection.cursor().execute("ANALYZE billing_usagerecord")

    assert audit_hourly() == audit(pause_s=0) != []


def test_of_long_books_every_shard_has_its_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHORT_BOOKS", -2)

    turns = [shards.shard_due(time.time() + hour * 3_600) for hour in range(keys.SHARDS)]

    assert shards.are_books_long()
    assert sorted(turns) == list(range(keys.SHARDS))


def test_a_finding_waits_in_the_inbox_until_a_person_has_seen_it(overcharged: Till) -> None:
    found = [finding for _ in range(2) for finding in audit_hourly()]

    filed = InboxItem.objects.filter(kind="audit_finding").values_list("reference", flat=True)
    assert sorted(filed) == sorted({f"{each.invariant}: {each.subject}" for each in found})


def test_a_shell_audits_one_shard(overcharged: Till, capsys: pytest.CaptureFixture[str]) -> None:
    other = (overcharged.shard + 1) % keys.SHARDS
    call_command("audit_money", shard=other)
    assert f"holds in shard {other}" in capsys.readouterr().out

    with pytest.raises(SystemExit):
        call_command("audit_money", shard=overcharged.shard)


def test_a_shell_sees_how_far_an_audit_is(till: Till, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("audit_money", verbosity=2)

    told = capsys.readouterr().err
    assert f"query {len(QUERIES)} of {len(QUERIES)}" in told
    assert "Redis, wallet by wallet" in told
