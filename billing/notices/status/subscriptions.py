"""Who is mailed of incidents: asking for it, confirming it by a mailed link, and ending it.

Nothing here tells whether an address is known: any address gets a row and a mail.
"""

import uuid
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from billing.exceptions import SubscriptionsFull
from billing.models import Notice, StatusSubscription
from billing.notices.status.links import Wish

# An incident's mails are written within a minute, and go out within an hour or so.
MOST_SUBSCRIPTIONS = 10_000
KINDS = (Notice.Kind.STATUS_LINK, Notice.Kind.INCIDENT)


@transaction.atomic
def ask_for_mails(address: str, *, language: str, model_names: Sequence[str]) -> None:
    """Mail the link that confirms a subscription, or changes the one that there is.

    Empty names ask for all models. Every call sends a mail. Raises SubscriptionsFull.
    """
    if StatusSubscription.objects.count() >= MOST_SUBSCRIPTIONS:
        raise SubscriptionsFull
    # Until the link is followed, a subscription that is confirmed stays as it is.
    row, _ = StatusSubscription.objects.update_or_create(
        address=address.lower(),
        defaults={"asked_at": timezone.now()},
        create_defaults={"language": language},
    )
    Notice.objects.create(
        kind=Notice.Kind.STATUS_LINK,
        reference=str(uuid.uuid4()),
        address=row.address,
        facts={
            "subscription": str(row.public_id),
            "language": language,
            "model_names": list(model_names),
        },
    )


def confirm(wish: Wish) -> StatusSubscription | None:
    """Start to mail of incidents as wished. Safe to repeat. None if the subscription was ended."""
    row = StatusSubscription.objects.filter(public_id=wish.subscription).first()
    if row is None:
        return None
    row.language, row.model_names = wish.language, wish.model_names
    row.confirmed_at = row.confirmed_at or timezone.now()
    # Not `save`, which would make a row again that somebody ends meanwhile.
    changes = {name: getattr(row, name) for name in ("language", "model_names", "confirmed_at")}
    return row if StatusSubscription.objects.filter(pk=row.pk).update(**changes) else None


@transaction.atomic
def end_subscription(subscription: str) -> None:
    """Forget a subscription and its address, and send nothing more. Safe to repeat."""
    for row in StatusSubscription.objects.filter(public_id=subscription):
        forget_subscriber(row.address)


def move_subscription(*, old: str, new: str) -> None:
    """Have mails of incidents follow a person to the address that replaces theirs.

    Inside the caller's transaction; both addresses were confirmed by that person. If the new one
    is subscribed already, its own subscription stays. Mails that are still to be sent follow.
    """
    rows = StatusSubscription.objects.select_for_update()
    row = rows.filter(address=old.lower()).exclude(confirmed_at=None).first()
    if row is None:
        return
    rows.filter(address=new.lower(), confirmed_at=None).delete()
    if rows.filter(address=new.lower()).exists():
        forget_subscriber(old)
        return
    StatusSubscription.objects.filter(pk=row.pk).update(address=new.lower())
    waiting = Notice.objects.filter(user=None, kind=Notice.Kind.INCIDENT, sent_at=None)
    waiting.filter(address=old.lower()).update(address=new.lower())


def forget_subscriber(address: str) -> None:
    """Forget an address, inside the caller's transaction: its subscription, and mails to it."""
    StatusSubscription.objects.filter(address=address.lower()).delete()
    Notice.objects.filter(user=None, kind__in=KINDS, address=address.lower()).delete()
