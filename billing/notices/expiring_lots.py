"""Mail customers about credits that expire soon, while there is time to use them."""

from datetime import timedelta

from django.db import transaction
from django.db.models import CharField, DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from accounts.models import Membership
from accounts.teams.roles import ALLOWED, Deed
from billing.ledger.entry_words import describe
from billing.models import Lot, Notice, NotificationSettings
from billing.notices.notify import as_fact, notify_members

AHEAD = timedelta(days=7)
BATCH = 500


def notify_expiring_lots() -> int:
    """Mail about every lot that expires within a week, once. Returns how many there were.

    A lot that lives for less than two weeks is due after half its life, so that a customer is not
    warned right after getting it. Safe to repeat and to run at once.
    """
    now = timezone.now()
    mailed = Notice.objects.filter(
        kind=Notice.Kind.LOT_EXPIRING,
        reference=Concat(Value("lot:"), Cast(OuterRef("pk"), CharField())),
    )
    readers = Membership.objects.filter(
        ~Exists(
            NotificationSettings.objects.filter(
                team=OuterRef("team"), user=OuterRef("user"), wants_lot_expiring=False
            )
        ),
        team=OuterRef("wallet__team"),
        role__in=ALLOWED[Deed.GET_MONEY_MAIL],
        user__is_active=True,
    )
    half_life = ExpressionWrapper(
        F("created_at") + (F("expires_at") - F("created_at")) / 2, output_field=DateTimeField()
    )
    due = (
        Lot.objects.filter(
            ~Exists(mailed),
            remaining_credits__gt=0,
            expires_at__gt=now,
            expires_at__lte=now + AHEAD,
        )
        .alias(half_life=half_life)
        .filter(half_life__lte=now)
        .filter(Exists(readers))
        .select_related("wallet__team__person", "entry")
        .order_by("expires_at")
    )
    lots = list(due[:BATCH])
    for lot in lots:
        with transaction.atomic():
            _notify(lot)
    return len(lots)


def _notify(lot: Lot) -> None:
    notify_members(
        lot.wallet.team,
        Deed.GET_MONEY_MAIL,
        Notice.Kind.LOT_EXPIRING,
        reference=f"lot:{lot.pk}",
        remaining_credits=lot.remaining_credits,
        expires_at=as_fact(lot.expires_at),
        source=describe(lot.entry),
    )
