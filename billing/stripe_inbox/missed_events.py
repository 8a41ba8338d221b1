"""Ask Stripe for the events that its webhook did not bring.

Stripe stops retrying after three days; our endpoint may have been down, or its address wrong.
https://docs.stripe.com/webhooks/process-undelivered-events
"""

from datetime import timedelta

import structlog
from django.utils import timezone

from billing.models import StripeEvent
from billing.stripe_api.listing import list_events
from billing.stripe_inbox.events import store_event
from billing.stripe_inbox.handlers import HANDLERS

LATELY = timedelta(hours=1)

log = structlog.get_logger(__name__)


def fetch_missed_events(window: timedelta = LATELY) -> int:
    """Store the events within `window` that we have not seen. Returns how many. Safe to repeat.

    The sweep processes them like any other event. Raises PaymentProviderError.
    """
    listed = {event["id"]: event for event in list_events(timezone.now() - window, list(HANDLERS))}
    seen = StripeEvent.objects.filter(event_id__in=listed).values_list("event_id", flat=True)
    missed = [listed[event_id] for event_id in listed.keys() - set(seen)]
    for event in missed:
        store_event(event)
    if missed:
        log.warning("stripe_events_missed", count=len(missed))
    return len(missed)
