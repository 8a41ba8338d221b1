"""Many rows in one statement: what was put in is there, and of what is refused nothing."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import ApiKey
from billing.ledger.key_use import note_last_use
from billing.models import InboxItem, KeySpending
from billing.wallet.events import read_event
from common.copying import copy_in
from common.many_rows import add_amounts, set_values
from tests.till import Till, in_a_thread
from tests.waiting import await_true

pytestmark = pytest.mark.django_db(transaction=True)

AWKWARD = "tab\t, line\n, \\N, \"quotes\", 'one', ,empty,, umlaut ü, 漢"


def items(*references: str) -> list[InboxItem]:
    return [
        InboxItem(kind="a", reference=reference, summary=AWKWARD, detail={"a": [1, None, AWKWARD]})
        for reference in references
    ]


def test_rows_are_read_as_they_were_written() -> None:
    made = items("r1", "r2")
    made[0].mailed_at = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)

    copy_in(made)

    for item in made:
        found = InboxItem.objects.get(pk=item.pk)
        for field in InboxItem._meta.concrete_fields:
            assert getattr(found, field.attname) == getattr(item, field.attname)


def test_rows_that_a_constraint_refuses_leave_nothing() -> None:
    copy_in(items("r1"))

    with pytest.raises(IntegrityError), transaction.atomic():
        copy_in(items("r2", "r1"))

    assert [item.reference for item in InboxItem.objects.all()] == ["r1"]


def test_whoever_watches_statements_sees_a_copy() -> None:
    seen: list[str] = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(watch):
        copy_in(items("r1"))

    assert 'COPY "billing_inboxitem"' in seen[-1]


def test_each_row_gets_its_own_numbers() -> None:
    made = items("r1", "r2", "r3")
    copy_in(made)
    for number, item in enumerate(made):
        item.attempts = 10 + number

    set_values(made[:2], ["attempts"])

    found = InboxItem.objects.order_by("pk").values_list("attempts", flat=True)
    assert list(found) == [10, 11, 0]


def test_amounts_are_added_to_what_is_there_and_begin_what_is_not(till: Till) -> None:
    keys = ["api_key", "month"]
    add_amounts(KeySpending, keys, {(till.key.pk, 202603): 5}, to="charged_credits")

    more = {(till.key.pk, 202604): 3, (till.key.pk, 202603): 2}
    add_amounts(KeySpending, keys, more, to="charged_credits")

    spent = dict(KeySpending.objects.values_list("month", "charged_credits"))
    assert spent == {202603: 7, 202604: 3}


def test_the_last_use_of_a_key_that_somebody_has_locked_is_noted_once_it_is_free(
    till: Till,
) -> None:
    other = till.with_another_key()
    till.grant(100)
    for one, name in ((till, "r1"), (other, "r2")):
        one.place(name, 10)
        one.settle(name, 1)
    events = [read_event(*each) for each in till.client.read_events(till.shard, count=10)]
    is_locked = threading.Event()

    def lock_meanwhile() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            ApiKey.objects.select_for_update().get(pk=till.key.pk)
            is_locked.set()

            def is_waited_for() -> bool:
                cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
                return bool(cursor.fetchone()[0])

            await_true(is_waited_for, what="somebody who notes the last use")

    locking = threading.Thread(target=in_a_thread, args=[lock_meanwhile])
    locking.start()
    assert is_locked.wait(20)

    note_last_use(events)

    locking.join()
    assert ApiKey.objects.filter(last_used_at=None).count() == 0
