"""The first API key: made for a customer after the first payment, and shown once."""

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing.keys.api_keys import has_api_keys, issue_api_key
from billing.models import Order

NAME = "First key"


@transaction.atomic
def claim_first_key(order: Order) -> str | None:
    """Make the customer's first key and return its secret, which can't be read again.

    None unless this is the customer's first paid order and there has never been a key. So a second
    call gets None, at the same time or later.
    """
    # Two orders paid at once, or two return pages, wait for each other at this lock.
    user = User.objects.select_for_update(no_key=True).get(pk=order.user_id)
    paid = Order.objects.filter(user=user, fulfilled_at__isnull=False)
    first = paid.order_by("fulfilled_at", "pk").first()
    if first is None or first.pk != order.pk or first.key_shown_at or has_api_keys(user):
        return None
    _, secret = issue_api_key(user, name=NAME)
    paid.filter(pk=order.pk).update(key_shown_at=timezone.now())
    return secret
