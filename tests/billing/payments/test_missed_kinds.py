"""One call for events names at most twenty kinds; there may be more."""

from datetime import timedelta

from django.utils import timezone

from billing.models import Order
from billing.stripe_api.listing import MOST_KINDS, list_events


def test_events_of_more_kinds_than_one_call_may_name_are_all_listed(paid: Order) -> None:
    kinds = [f"price.kind_{number}" for number in range(2 * MOST_KINDS)]
    kinds = ["charge.succeeded", *kinds, "checkout.session.completed"]

    found = list_events(timezone.now() - timedelta(minutes=5), kinds)

    assert {event["type"] for event in found} == {
        "charge.succeeded",
        "checkout.session.completed",
    }
