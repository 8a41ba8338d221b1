"""A hold that the reaper can't end is filed, and ended by a button."""

import time

import pytest

from accounts.models import AuditLine, User
from billing.admin.inbox_advice import advice_of
from billing.models import InboxItem
from billing.upkeep.stuck_holds import STUCK_S, end_hold, file_stuck_holds
from billing.wallet import keys
from billing.wallet.journal import Journal
from tests import desk
from tests.till import Till

pytestmark = pytest.mark.django_db(transaction=True)


def end_lease(till: Till, request_id: str, *, ago_s: float) -> None:
    ended_ms = int((time.time() - ago_s) * 1_000)
    till.client.redis.zadd(keys.leases(till.shard), {request_id: ended_ms})


def test_a_hold_that_should_long_be_over_is_filed_once(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    for request_id in ("alive", "just over", "stuck"):
        till.start(request_id, 100, journal=journal)
    end_lease(till, "just over", ago_s=STUCK_S / 2)
    end_lease(till, "stuck", ago_s=STUCK_S * 2)

    assert [file_stuck_holds(), file_stuck_holds()] == [1, 1]

    item = InboxItem.objects.get()
    assert (item.kind, item.reference) == ("hold_stuck", "stuck")
    assert item.summary == "A request that is over still holds 100 credits."
    assert item.detail["wallet"] == till.wallet.pk
    assert "worker" in advice_of(item).words


def test_the_button_ends_it_at_what_it_had_used(till: Till, journal: Journal) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    till.grant(1_000)
    till.start("stuck", 100, journal=journal)
    till.extend("stuck", 25)
    end_lease(till, "stuck", ago_s=STUCK_S * 2)
    file_stuck_holds()
    item = InboxItem.objects.get()

    root.post(desk.do_url("end-hold", item), {"reason": "The reaper can't"})

    till.drain()
    assert (till.posted(), till.open_requests()) == (975, [])
    assert "Its hold is ended." in desk.said()
    # Once more changes nothing.
    root.post(desk.do_url("end-hold", item), {"reason": "Again"})
    till.drain()
    assert till.posted() == 975


def test_a_hold_that_lives_is_not_ended(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    till.start("alive", 100, journal=journal)

    assert not end_hold("alive", till.wallet.pk)

    assert till.open_requests() == ["alive"]


def test_other_findings_have_no_hold_to_end(till: Till) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    item = desk.make_inbox_item()

    root.post(desk.do_url("end-hold", item), {"reason": "Why not"})

    assert not AuditLine.objects.exists()
