"""Roll-ups are the sums of receipts: after races, late arrivals, deaths and repeats."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections
from django.utils import timezone

from accounts.models import User
from billing.audit.books import audit
from billing.models import RollUpDue, SiteRollUp, UsageRollUp
from billing.rollups import sweep
from billing.rollups.histogram import bucket_of
from billing.rollups.rebuild import find_differences, rebuild
from billing.wallet.commands import ending as commands
from tests.till import NOW_MS, Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)

EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
QUARTER_MS = 15 * 60 * 1_000
DAY_MS = 96 * QUARTER_MS


@dataclass
class Ending:
    """How a request ends, where it matters to roll-ups."""

    after_ms: int = 1_000
    provider_name: str = "sandbox"
    outcome: str = "completed"
    first_byte_ms: int | None = None
    cost_nanos: int | None = 5


def use(till: Till, request_id: str, amount: int, ending: Ending | None = None) -> None:
    """Place and settle a request."""
    till.place(request_id, 100)
    settle(till, request_id, amount, ending)


def settle(till: Till, request_id: str, amount: int, ending: Ending | None = None) -> None:
    """Settle a request; one that was settled before is raised."""
    end = ending or Ending()
    settlement = replace(
        till.settlement(amount, outcome=end.outcome),
        ended_at_ms=NOW_MS + end.after_ms,
        provider_name=end.provider_name,
        first_byte_ms=end.first_byte_ms,
        cost_nanos=end.cost_nanos,
    )
    commands.parse_settle(till.client.ask(commands.settle(till.facts(request_id), settlement)))


def rows(**which: Any) -> list[tuple[int, int]]:
    """Return the requests and credits of the roll-ups, in the order of their time."""
    found = UsageRollUp.objects.filter(**which).order_by("starts_at", "provider_name", "outcome")
    return list(found.values_list("requests", "charged_credits"))


def are_exact() -> bool:
    return find_differences(*EVER) == [] and audit(pause_s=0) == []


def test_requests_of_a_quarter_of_an_hour_are_one_row(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 30, Ending(first_byte_ms=200))
    use(till, "r2", 50, Ending(after_ms=3_000, cost_nanos=None))
    till.drain()

    assert sweep.roll_up() == 1

    (row,) = UsageRollUp.objects.all()
    (site,) = SiteRollUp.objects.all()
    for each in (row, site):
        assert (each.requests, each.charged_credits, each.completion_tokens) == (2, 80, 80)
        assert (each.cost_nanos, each.unpriced_requests, each.duration_ms) == (5, 1, 4_000)
        assert (each.durations[bucket_of(1_000)], each.durations[bucket_of(3_000)]) == (1, 1)
        assert (sum(each.durations), sum(each.first_bytes)) == (2, 1)
        assert each.first_bytes[bucket_of(200)] == 1
    assert row.starts_at.minute % 15 == row.starts_at.second == 0
    assert are_exact()


def test_what_differs_is_a_row_of_its_own(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 1)
    use(till, "r2", 2, Ending(after_ms=QUARTER_MS))
    use(till, "r3", 3, Ending(provider_name="second"))
    use(till, "r4", 4, Ending(outcome="broken"))
    use(till.with_another_key(), "r5", 5)
    till.drain()

    sweep.roll_up()

    assert sorted(credits for _, credits in rows()) == [1, 2, 3, 4, 5]
    assert SiteRollUp.objects.count() == 4  # keys are not told apart
    assert are_exact()


def test_a_repeat_adds_nothing(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 30)
    till.drain()

    assert [sweep.roll_up(), sweep.roll_up()] == [1, 0]

    assert rows() == [(1, 30)]


def test_a_booking_of_an_old_quarter_is_added_to_it(till: Till) -> None:
    till.grant(1_000)
    use(till, "new", 30, Ending(after_ms=2 * QUARTER_MS))
    till.drain()
    sweep.roll_up()

    use(till, "late", 7)
    use(till, "late too", 8, Ending(after_ms=2 * QUARTER_MS))
    till.drain()
    sweep.roll_up()

    assert rows() == [(1, 7), (2, 38)]
    assert are_exact()


@pytest.mark.parametrize("is_rolled_up", [True, False])
def test_a_raised_receipt_counts_once_as_what_it_became(till: Till, is_rolled_up: bool) -> None:
    till.grant(1_000)
    use(till, "r1", 30, Ending(outcome="abandoned"))
    use(till, "r2", 4)
    till.drain()
    if is_rolled_up:
        sweep.roll_up()

    settle(till, "r1", 90, Ending(after_ms=QUARTER_MS))
    till.drain()
    if is_rolled_up:
        # Until the sweep has added it up again, it is no finding.
        assert audit(pause_s=0) == []
    sweep.roll_up()

    assert rows() == [(1, 4), (1, 90)]
    assert SiteRollUp.objects.count() == 2
    assert are_exact()


def test_what_is_booked_while_a_sweep_runs_waits_for_the_next(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 30)
    till.drain()
    use(till, "r2", 4)

    with before_statement("INSERT INTO billing_usagerollup", lambda: in_a_thread(till.drain)):
        sweep.roll_up()
    assert rows() == [(1, 30)]
    sweep.roll_up()

    assert rows() == [(2, 34)]
    assert are_exact()


def test_a_raise_while_a_sweep_runs_is_added_up_again(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 30)
    till.drain()
    settle(till, "r1", 90)

    with before_statement("INTO billing_usagerollup", lambda: in_a_thread(till.drain)):
        sweep.roll_up()
    sweep.roll_up()

    assert rows() == [(1, 90)]
    assert are_exact()


def test_a_sweep_leaves_the_work_to_one_that_runs(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 30)
    till.drain()
    met: list[int] = []

    with before_statement(
        "INSERT INTO billing_usagerollup", lambda: met.append(in_a_thread(sweep.roll_up))
    ):
        sweep.roll_up()

    assert met == [0]
    assert rows() == [(1, 30)]


class Death(Exception):
    """A worker dies."""


@pytest.mark.parametrize(
    "statement",
    ["INTO billing_usagerollup", 'INTO "billing_rollupmark"', 'DELETE FROM "billing_rollupdue"'],
)
def test_a_sweep_that_dies_has_added_nothing(till: Till, statement: str) -> None:
    till.grant(1_000)
    use(till, "r1", 30)
    till.drain()

    def die() -> None:
        raise Death

    with before_statement(statement, die), pytest.raises(Death):
        sweep.roll_up()
    assert rows() == []
    sweep.roll_up()

    assert rows() == [(1, 30)]
    assert are_exact()


def test_more_than_a_batch_is_rolled_up_at_once(till: Till, bob: User) -> None:
    bobs = Till(bob)
    for each in (till, bobs):
        each.grant(1_000)
    for number in range(5):
        use(till, f"a{number}", 1)
        use(bobs, f"b{number}", 2)
        till.drain()

    assert sweep.roll_up(batch=3) == 10

    assert rows(wallet=till.wallet) == [(5, 5)]
    assert rows(wallet=bobs.wallet) == [(5, 10)]
    assert RollUpDue.objects.count() == 0
    assert are_exact()


def test_bookings_raises_and_sweeps_at_once_add_up(till: Till, bob: User) -> None:
    tills = [till, Till(bob)]
    for each in tills:
        each.grant(1_000_000)
    is_over = threading.Event()

    def call(each: Till) -> None:
        for number in range(40):
            name = f"{each.wallet.pk}-{number}"
            use(each, name, 3, Ending(after_ms=number * 60_000))
            if number % 3 == 0:
                raised = Ending(after_ms=number * 90_000, outcome="broken")
                settle(each, name, 5, raised)

    def repeat(sweep_once: Any) -> None:
        while not is_over.is_set():
            sweep_once()

    def in_thread(act: Any, *given: Any) -> None:
        try:
            act(*given)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        sweeps = [
            pool.submit(in_thread, repeat, each)
            for each in (till.drain, till.drain, sweep.roll_up, sweep.roll_up)
        ]
        try:
            for done in [pool.submit(in_thread, call, each) for each in tills]:
                done.result()
        finally:
            is_over.set()
        for done in sweeps:
            done.result()
    till.drain()
    sweep.roll_up()

    totals = [sum(column) for column in zip(*rows(), strict=True)]
    assert totals == [80, 2 * (26 * 3 + 14 * 5)]
    assert are_exact()


def test_a_rebuild_mends_its_range_and_says_what_was_wrong(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 30)
    use(till, "r2", 4, Ending(after_ms=DAY_MS))
    till.drain()
    sweep.roll_up()
    first, second = UsageRollUp.objects.order_by("starts_at")
    UsageRollUp.objects.filter(pk=first.pk).update(requests=2)
    SiteRollUp.objects.filter(starts_at=second.starts_at).delete()

    kept = rebuild(second.starts_at, second.starts_at + timedelta(minutes=1))
    wrong = rebuild(first.starts_at, first.starts_at + timedelta(minutes=1))

    assert [each.table for each in kept] == ["billing_siterollup"]
    assert {each.table for each in wrong} == {"billing_usagerollup", "billing_siterollup"}
    assert rows() == [(1, 30), (1, 4)]
    assert are_exact()


def test_a_rebuild_leaves_what_no_sweep_has_seen_to_the_sweep(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 30)
    till.drain()
    sweep.roll_up()
    use(till, "r2", 4)
    till.drain()

    assert rebuild(*EVER) == []
    assert rows() == [(1, 30)]
    sweep.roll_up()

    assert rows() == [(2, 34)]
    assert are_exact()


def test_the_command_checks_and_mends(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 30, Ending(after_ms=-QUARTER_MS))
    till.drain()
    sweep.roll_up()
    UsageRollUp.objects.update(durations=[1] * 31)
    told, errors = StringIO(), StringIO()

    with pytest.raises(SystemExit):
        call_command("rebuild_roll_ups", "--check", stdout=told, stderr=errors)
    call_command("rebuild_roll_ups", stdout=told, stderr=errors)

    assert told.getvalue().splitlines() == [
        "Wrong now: 2 rows.",
        "Made anew. Wrong before: 2 rows.",
        "Wrong now: 0 rows.",
    ]
    assert "gpt-4" in errors.getvalue()


class Impatient(StringIO):
    """A terminal at which somebody presses Ctrl-C when the third step begins."""

    def write(self, text: str) -> int:
        if "days from" in text and self.getvalue().count("days from") == 2:
            raise KeyboardInterrupt
        return super().write(text)


def test_a_rebuild_that_is_stopped_goes_on_where_it_was(till: Till) -> None:
    till.grant(1_000)
    use(till, "old", 30, Ending(after_ms=-100 * 86_400_000))
    use(till, "new", 4)
    till.drain()
    sweep.roll_up()
    UsageRollUp.objects.update(durations=[1] * 31)

    with pytest.raises(CommandError, match=r"Go on with --since") as stopped:
        call_command("rebuild_roll_ups", verbosity=2, stderr=Impatient())
    since = str(stopped.value).rpartition("--since ")[2].rstrip(".")
    wrong = [each.row for each in find_differences(*EVER) if each.table.endswith("usagerollup")]
    call_command("rebuild_roll_ups", f"--since={since}", stdout=(told := StringIO()))

    assert len(wrong) == 1
    assert "Wrong before: 2 rows" in told.getvalue()
    assert are_exact()


def test_the_audit_finds_a_row_that_is_not_the_sum(till: Till) -> None:
    till.grant(1_000)
    use(till, "r1", 30)
    till.drain()
    sweep.roll_up()
    today = timezone.now().date()

    UsageRollUp.objects.update(charged_credits=31)

    found = [str(finding) for finding in audit(pause_s=0)]
    assert len(found) == 3
    assert f"roll-ups of wallet {till.wallet.pk} on {today.year}" in found[1]
    assert "roll-up of the site at" in found[0]


@contextmanager
def before_statement(part: str, act: Any) -> Iterator[None]:
    """Act once, right before a statement that has `part` in it."""
    done: list[bool] = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        if part in sql and not done:
            done.append(True)
            act()
        return execute(sql, *rest)

    with connection.execute_wrapper(watch):
        yield
    assert done
