"""Sweeps of what comes from Stripe. The webhook only makes the first of them run sooner."""

from datetime import date, time

import structlog
from celery import shared_task
from kombu.exceptions import OperationalError

from billing.customers.at_stripe import follow_addresses
from billing.orders.refunds import advance_refunds
from billing.stripe_inbox.comparison import reconcile
from billing.stripe_inbox.events import process_due_events
from billing.stripe_inbox.missed_events import fetch_missed_events
from billing.stripe_inbox.open_orders import check_open_orders
from billing.tasks.stripe_slots import with_slot
from billing.upkeep.daily import daily

# A week at Stripe is many pages.
HOUR_S = 3_600

log = structlog.get_logger(__name__)


@shared_task(name="billing.process_stripe_events", ignore_result=True)
@with_slot
def process_stripe_events() -> int:
    """Process the stored events that are due. Returns how many were tried."""
    return process_due_events()


@shared_task(name="billing.sweep_open_orders", ignore_result=True)
@with_slot
def sweep_open_orders() -> int:
    """Ask Stripe about open orders. Returns how many were asked about."""
    return check_open_orders()


@shared_task(name="billing.advance_refunds", ignore_result=True)
@with_slot
def ask_for_refunds() -> int:
    """Ask Stripe for the refunds whose credits are taken. Returns how many were tried."""
    return advance_refunds()


@shared_task(name="billing.follow_addresses", ignore_result=True)
@with_slot
def follow_owners() -> int:
    """Tell Stripe the addresses that customers changed. Returns how many."""
    return follow_addresses()


@shared_task(name="billing.fetch_missed_events", ignore_result=True)
def fetch_events() -> int:
    """Store the events of the last hour that no webhook brought. Returns how many."""
    return fetch_missed_events()


@shared_task(name="billing.reconcile_stripe", ignore_result=True, time_limit=HOUR_S)
@daily(at=time(4, 10))
def reconcile_stripe(_first: date) -> int:
    """Compare the last week with Stripe. Returns how many findings went to the inbox."""
    return len(reconcile())


def nudge_stripe_events() -> None:
    """Have new events processed at once. If the broker is away, the next sweep does it."""
    try:
        process_stripe_events.apply_async(retry=False)
    except (OperationalError, OSError) as error:
        log.warning("nudge_failed", error=str(error))
