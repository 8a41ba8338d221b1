"""Say that the balance is low, once for each time that it falls below somebody's threshold.

A person is mailed, and a webhook with a threshold of its own is sent it.

The credit that lifts the balance to the customer's threshold arms the notice (see
`billing.ledger.thresholds`); writing the notice disarms it. Both hold the wallet's lock. A balance
rises only by a credit, so nothing is missed between two sweeps.
"""

from django.db import transaction
from django.db.models import F, Q

from accounts.models import Membership, Team, User
from billing.exceptions import InvalidAmount
from billing.models import LedgerEntry, Notice, NotificationSettings, Wallet, Webhook
from billing.notices.notify import notify
from billing.notices.webhooks.deliveries import webhooks_that_want, write_delivery
from billing.notices.webhooks.kinds import LOW_BALANCE
from common.credits import MAX_CREDITS

BATCH = 500


def get_notification_settings(team: Team, user: User) -> NotificationSettings:
    """Return what a member wants to be mailed of a team; the defaults if never changed."""
    found, _ = NotificationSettings.objects.get_or_create(team=team, user=user)
    return found


@transaction.atomic
def save_notification_settings(
    seat: Membership,
    *,
    wants_low_balance: bool,
    low_balance_credits: int,
    wants_lot_expiring: bool,
    wants_top_up_succeeded: bool,
    wants_monthly_summary: bool,
) -> None:
    """Save what a member wants to be mailed of a team. Raises InvalidAmount.

    If the balance is below a new threshold, the notice waits until a credit lifts it to that.
    """
    if not 0 < low_balance_credits <= MAX_CREDITS:
        raise InvalidAmount("The threshold must be at least 1 credit.")
    last_entry = last_entry_above(seat.team, low_balance_credits)
    known = get_notification_settings(seat.team, seat.user)
    if known.low_balance_credits != low_balance_credits:
        known.armed_by = last_entry
    known.wants_low_balance = wants_low_balance
    known.low_balance_credits = low_balance_credits
    known.wants_lot_expiring = wants_lot_expiring
    known.wants_top_up_succeeded = wants_top_up_succeeded
    known.wants_monthly_summary = wants_monthly_summary
    known.save()


def last_entry_above(team: Team, threshold_credits: int) -> LedgerEntry | None:
    """Lock a team's wallet, and return its last entry if the balance is not below a threshold.

    That entry arms a new threshold; below it, the next credit does.
    """
    wallet = _lock_wallet_of(team)
    if wallet is None or wallet.posted_credits < threshold_credits:
        return None
    return wallet.entries.order_by("-pk").first()


def notify_low_balances() -> int:
    """Tell customers and webhooks whose balance fell below their threshold. Returns how many.

    Safe to repeat and to run at once.
    """
    low = Q(armed_by__isnull=False, team__wallet__posted_credits__lt=F("low_balance_credits"))
    people = NotificationSettings.objects.filter(low, wants_low_balance=True)
    webhooks = webhooks_that_want(LOW_BALANCE).filter(low)
    return sum(_notify(each) for each in people.select_related("team__person", "user")[:BATCH]) + (
        sum(_announce(each) for each in webhooks[:BATCH])
    )


@transaction.atomic
def _notify(found: NotificationSettings) -> bool:
    wallet = _lock_wallet_of(found.team)
    known = get_notification_settings(found.team, found.user)
    if wallet is None or known.armed_by_id is None:
        return False
    if wallet.posted_credits >= known.low_balance_credits:
        return False
    notify(
        found.user,
        Notice.Kind.LOW_BALANCE,
        team=found.team,
        # Once for each credit that lifted the balance to the threshold.
        reference=f"{wallet.pk}:{known.armed_by_id}:{known.low_balance_credits}",
        posted_credits=wallet.posted_credits,
        threshold_credits=known.low_balance_credits,
    )
    NotificationSettings.objects.filter(pk=known.pk).update(armed_by=None)
    return True


@transaction.atomic
def _announce(found: Webhook) -> bool:
    wallet = _lock_wallet_of(found.team)
    webhook = webhooks_that_want(LOW_BALANCE).filter(pk=found.pk).first()
    if wallet is None or webhook is None or webhook.armed_by_id is None:
        return False
    if wallet.posted_credits >= webhook.low_balance_credits:
        return False
    facts = {
        "posted_credits": wallet.posted_credits,
        "threshold_credits": webhook.low_balance_credits,
    }
    cause = f"{wallet.pk}:{webhook.armed_by_id}:{webhook.low_balance_credits}"
    write_delivery(webhook, LOW_BALANCE, reference=cause, facts=facts)
    Webhook.objects.filter(pk=webhook.pk).update(armed_by=None)
    return True


def _lock_wallet_of(team: Team) -> Wallet | None:
    """Lock a team's wallet, as every credit does. None if there is none yet."""
    wallets = Wallet.objects.select_for_update(of=("self",), no_key=True)
    return wallets.filter(team=team).first()
