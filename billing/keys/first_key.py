"""The first API key: made for a customer after the first payment, and shown once."""

from django.db import transaction
from django.utils import timezone

from accounts.models import Membership
from accounts.teams.members import lock_team
from accounts.teams.roles import Deed, may
from billing.keys.api_keys import has_api_keys, issue_api_key
from billing.models import Order

NAME = "First key"


@transaction.atomic
def claim_first_key(order: Order) -> str | None:
    """Make the customer's first key and return its secret, which can't be read again.

    None unless this is the team's first paid order, there has never been a key, and the buyer may
    make one. So a second call gets None, at the same time or later.
    """
    # Orders come first, as for everybody who locks one and its team.
    Order.objects.select_for_update().get(pk=order.pk)
    # Two orders paid at once, or two return pages, wait for each other at this lock.
    team = lock_team(order.team)
    paid = Order.objects.filter(team=team, fulfilled_at__isnull=False)
    first = paid.order_by("fulfilled_at", "pk").first()
    if first is None or first.pk != order.pk or first.key_shown_at or has_api_keys(team):
        return None
    seats = Membership.objects.select_related("team__person", "user")
    seat = seats.filter(team=team, user=order.buyer).first()
    if seat is None or not may(seat, Deed.MAKE_KEYS):
        return None
    _, secret = issue_api_key(seat, name=NAME)
    paid.filter(pk=order.pk).update(key_shown_at=timezone.now())
    return secret
