"""What a booking tells the sweep of roll-ups, in the booking's own transaction."""

from collections.abc import Iterable
from datetime import datetime

from billing.models import RollUpDue, UsageRecord
from billing.rollups.quarters import quarter_of


def note_booked(new: Iterable[UsageRecord], raised: Iterable[tuple[int, datetime]]) -> None:
    """Note new receipts, and raised ones by their wallets and the ends that they had and have."""
    last: dict[int, int] = {}
    for record in new:
        last[record.wallet_id] = max(record.pk, last.get(record.wallet_id, 0))
    quarters = {(wallet_id, quarter_of(ended_at)) for wallet_id, ended_at in raised}
    RollUpDue.objects.bulk_create(
        [
            *(RollUpDue(wallet_id=wallet, record_id=record) for wallet, record in last.items()),
            *(RollUpDue(wallet_id=wallet, starts_at=at) for wallet, at in sorted(quarters)),
        ]
    )
