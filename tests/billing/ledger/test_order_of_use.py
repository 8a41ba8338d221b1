"""Which credits are spent first, as the drain takes them and as staff read it."""

from datetime import timedelta
from itertools import permutations

import pytest
from django.utils import timezone

from billing.admin.wallet_reads import open_lots
from billing.ledger.credits import order_of_use
from billing.ledger.wallets import grant_credits
from billing.models import Lot
from tests.till import Till

# A gift that lasts is spent before what was paid for and expires soon.
KINDS = [(True, 1), (True, 90), (True, None), (False, 1), (False, 90), (False, None)]


@pytest.mark.django_db
@pytest.mark.parametrize("order", list(permutations(range(6)))[::97])
def test_staff_read_the_order_in_which_credits_are_taken(
    till: Till, order: tuple[int, ...]
) -> None:
    now = timezone.now()
    for place in order:
        is_gift, days = KINDS[place]
        grant_credits(
            till.wallet,
            credits=100 + place,
            reason="test",
            is_promotional=is_gift,
            expires_at=None if days is None else now + timedelta(days=days),
        )

    shown = list(open_lots(till.wallet))

    assert [lot.granted_credits for lot in shown] == [100, 101, 102, 103, 104, 105]
    assert shown == sorted(Lot.objects.all(), key=order_of_use)
