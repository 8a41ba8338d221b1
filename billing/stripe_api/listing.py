"""Lists of what happened at Stripe since an instant: charges, refunds, disputes and events."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from billing.stripe_api.charges import Charge, describe_charge, read_id
from billing.stripe_api.client import call_stripe

# How many kinds one call for events may name.
# https://docs.stripe.com/api/events/list#list_events-types
MOST_KINDS = 20
# The longest page that Stripe gives. https://docs.stripe.com/api/pagination
PAGE = 100


def list_charges(since: datetime) -> Iterator[Charge]:
    """Yield the charges made since then, with their refunds and disputes."""
    with call_stripe() as client:
        found = client.v1.charges.list(
            {"created": {"gte": _stamp(since)}, "limit": PAGE, "expand": ["data.refunds"]}
        )
        for charge in found.auto_paging_iter():
            yield describe_charge(client, charge)


def list_returned_charges(since: datetime) -> set[str]:
    """Return the ids of charges, of any age, that were refunded or disputed since then."""
    start = _stamp(since)
    with call_stripe() as client:
        refunds = client.v1.refunds.list({"created": {"gte": start}, "limit": PAGE})
        disputes = client.v1.disputes.list({"created": {"gte": start}, "limit": PAGE})
        return {
            *(read_id(refund.charge) for refund in refunds.auto_paging_iter()),
            *(read_id(dispute.charge) for dispute in disputes.auto_paging_iter()),
        } - {""}


def list_events(since: datetime, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Return the events of these kinds since then, in the form in which a webhook gets them."""
    events = []
    with call_stripe() as client:
        for start in range(0, len(kinds), MOST_KINDS):
            some = list(kinds[start : start + MOST_KINDS])
            found = client.v1.events.list(
                {"created": {"gte": _stamp(since)}, "types": some, "limit": PAGE}
            )
            events += [event.to_dict(for_json=True) for event in found.auto_paging_iter()]
    return events


def _stamp(instant: datetime) -> int:
    return int(instant.timestamp())
