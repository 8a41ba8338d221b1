"""What each member spent, as far as it is booked: the figures that caps are compared with."""

from dataclasses import dataclass

from django.db.models import Q, Sum
from django.utils import timezone

from accounts.models import Team
from billing.models import MemberSpending
from billing.wallet.usage import month_of


@dataclass(frozen=True, slots=True)
class Spent:
    """Credits, in all and in the present calendar month (UTC)."""

    total_credits: int = 0
    month_credits: int = 0


def spending_by_member(team: Team) -> dict[int, Spent]:
    """Return what each person spent with the keys that they made, by the person's id; people who
    have left are included.
    """
    present = month_of(int(timezone.now().timestamp() * 1_000))
    rows = (
        MemberSpending.objects.filter(wallet__team=team)
        .order_by()
        .values_list("member")
        .annotate(
            total=Sum("charged_credits"),
            this_month=Sum("charged_credits", filter=Q(month=present), default=0),
        )
    )
    return {member: Spent(total, this_month) for member, total, this_month in rows}
