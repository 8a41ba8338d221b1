"""Sweeps of the wallets. Each may run twice, at once, late or never, and only loses time."""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

import redis
import structlog
from celery import shared_task
from celery.worker.control import inspect_command
from django.conf import settings

from billing.audit.books import audit_hourly
from billing.exceptions import UnsafeRedis, WalletRecovering
from billing.ledger import debits, debts, expiry, pushes
from billing.rollups import sweep
from billing.rollups.days import make_days
from billing.tasks.top_ups import nudge_top_ups
from billing.upkeep import adoption, drain, loading, reaper, recovery, retention, stuck_holds
from billing.upkeep.sightings import note_worker

log = structlog.get_logger(__name__)

# How long a sweep may take whose work grows with all that is kept.
HOUR_S = 3_600

# How long one sweep loads wallets; the next goes on.
LOADING_S = 20


def unless_recovering(sweep: Callable[[], int]) -> Callable[[], int | None]:
    """Leave the work to the next sweep while Redis is away or not rebuilt; None tells of it."""

    @wraps(sweep)
    def guarded() -> int | None:
        try:
            return sweep()
        except UnsafeRedis as error:
            log.error("redis_refused", error=str(error))
            return None
        except WalletRecovering as error:
            log.info("sweep_postponed", sweep=sweep.__name__, reason=str(error))
            return None

    return guarded


@shared_task(name="billing.recover_wallets", ignore_result=True, time_limit=HOUR_S)
@unless_recovering
def recover_wallets() -> int:
    """Rebuild what Redis lost, and record that a worker is alive."""
    # Where that is recorded may be away while Redis is there.
    with suppress(redis.RedisError):
        note_worker(settings.JOURNAL_DIR)
    return len(recovery.recover())


@shared_task(name="billing.load_wallets", ignore_result=True)
@unless_recovering
def load_wallets() -> int:
    """Load wallets that nobody asked for since Redis was lost."""
    return loading.load_rest(most_s=LOADING_S)


@inspect_command()
def opens_at_home(state: Any) -> dict[str, bool]:
    """Answer who is about to move shards: workers of versions that know no homes are silent."""
    return {"ok": True}


@shared_task(name="billing.drain_events", ignore_result=True)
@unless_recovering
def drain_events() -> int:
    """Book what Redis decided."""
    booked = drain.drain().booked
    if booked:
        nudge_top_ups()
    return booked


@shared_task(name="billing.roll_up_usage", ignore_result=True, time_limit=HOUR_S)
def roll_up_usage() -> int:
    """Add booked receipts to the roll-ups."""
    return sweep.roll_up()


@shared_task(name="billing.make_days", ignore_result=True, time_limit=HOUR_S)
def make_sums_of_days() -> int:
    """Make the sums of days that are older than the tables of such sums. Returns how many."""
    return make_days()


@shared_task(name="billing.push_wallets", ignore_result=True)
@unless_recovering
def push_wallets() -> int:
    """Repeat pushes that were lost."""
    return pushes.push_due()


@shared_task(name="billing.decide_debits", ignore_result=True)
@unless_recovering
def decide_debits() -> int:
    """Let Redis decide clawbacks, expiries and adjustments that wait."""
    return debits.decide_open()


@shared_task(name="billing.pay_debts", ignore_result=True)
@unless_recovering
def pay_debts() -> int:
    """Let wallets pay their debt from what has become available."""
    return debts.pay_debts()


@shared_task(name="billing.reap_holds", ignore_result=True)
@unless_recovering
def reap_holds() -> int:
    """End holds whose lease ran out."""
    return reaper.reap()


@shared_task(name="billing.file_stuck_holds", ignore_result=True)
@unless_recovering
def file_stuck_holds() -> int:
    """File holds that the reaper could not end."""
    return stuck_holds.file_stuck_holds()


@shared_task(name="billing.adopt_journals", ignore_result=True)
@unless_recovering
def adopt_journals() -> int:
    """Take over the journals of web processes that are gone."""
    return adoption.adopt_journals()


@shared_task(name="billing.expire_lots", ignore_result=True)
@unless_recovering
def expire_lots() -> int:
    """Let lots expire."""
    return expiry.expire_lots()


@shared_task(name="billing.delete_old", ignore_result=True, time_limit=HOUR_S)
def delete_old() -> int:
    """Delete what may go and is old. Returns how many rows."""
    return retention.delete_old()


@shared_task(name="billing.audit_money", ignore_result=True, time_limit=HOUR_S)
@unless_recovering
def audit_money() -> int:
    """Check the books against themselves and Redis; every finding is in the log and the inbox."""
    findings = audit_hourly()
    for finding in findings:
        log.error("audit_finding", finding=str(finding))
    return len(findings)
