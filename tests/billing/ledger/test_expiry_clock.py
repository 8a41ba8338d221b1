"""Credits expire by PostgreSQL's clock, whatever a worker's says."""

from datetime import timedelta

import time_machine
from django.utils import timezone

from billing.ledger.expiry import expire_lots
from billing.models import Lot
from tests.till import Till


def test_a_worker_whose_clock_is_ahead_takes_nothing_that_is_valid(till: Till) -> None:
    till.grant(1_000)
    Lot.objects.update(expires_at=timezone.now() + timedelta(days=1))

    with time_machine.travel(timezone.now() + timedelta(days=2), tick=True):
        assert expire_lots() == 0

    Lot.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    assert expire_lots() == 1
