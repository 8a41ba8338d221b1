"""What the keys of each member spent, as far as it is booked."""

from dataclasses import dataclass

from django.db.models import Q, Sum
from django.utils import timezone

from accounts.models import Team
from billing.models import KeySpending
from billing.wallet.usage import month_of


@dataclass(frozen=True, slots=True)
class Spent:
    """Credits, in all and in the present calendar month (UTC)."""

    total_credits: int = 0
    month_credits: int = 0


def spending_by_member(team: Team) -> dict[int, Spent]:
    """Return what was spent by the keys that each person made, by their id; those of people who
    have left included.
    """
    present = month_of(int(timezone.now().timestamp() * 1_000))
    rows = (
        KeySpending.objects.filter(api_key__team=team)
        .order_by()
        .values_list("api_key__created_by")
        .annotate(
            total=Sum("charged_credits"),
            this_month=Sum("charged_credits", filter=Q(month=present), default=0),
        )
    )
    return {maker: Spent(total, this_month) for maker, total, this_month in rows}
