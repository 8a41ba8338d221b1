"""Stripe charges a saved card and answers 500, again and again: its key gets no other answer."""

from django.utils import timezone

from accounts.models import User
from billing.models import AutoTopUp, Order
from billing.orders.top_up_orders import top_up_due
from billing.stripe_inbox.events import process_due_events
from billing.stripe_inbox.missed_events import fetch_missed_events
from billing.stripe_inbox.open_orders import check_open_orders
from tests.billing.payments.conftest import posted
from tests.billing.top_ups.conftest import orders_of, succeeded
from tests.stripe_sandbox import Sandbox


def test_a_charge_that_stripe_did_not_own_up_to_is_credited_by_its_event(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    sandbox.control("failures", when="after", method="post", path="/v1/payment_intents")
    top_up_due()
    Order.objects.update(next_check_at=timezone.now())
    check_open_orders()
    assert orders_of(alice) == ["open"]

    fetch_missed_events()
    # Those of other tests' orders come, too.
    while process_due_events():
        pass

    assert orders_of(alice) == ["fulfilled"]
    assert posted(alice) == 1_000_000
    assert len(succeeded(sandbox, top_up)) == 1
