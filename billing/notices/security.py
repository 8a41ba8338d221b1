"""What customers are mailed about the security of their accounts."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from django.utils.translation import get_language

from accounts.models import User
from billing.models import Notice
from billing.notices.notify import as_fact, notify

Kind = Notice.Kind


def notify_new_sign_in(user: User, *, reference: str, at: datetime, **origin: Any) -> None:
    """Say that somebody signed in from a browser and a network that are new for this user.

    `origin`, here and below, is the `device_name` and the `address` of who did it.
    """
    notify(user, Kind.NEW_SIGN_IN, reference=reference, at=as_fact(at), **origin)


def notify_password_changed(user: User, **origin: Any) -> None:
    """Say that the password was changed by somebody who was signed in. Every call sends a mail."""
    notify(user, Kind.PASSWORD_CHANGED, reference=f"{user.pk}:{uuid4()}", **origin)


def notify_password_reset(user: User, *, ended: dict[str, object], **origin: Any) -> None:
    """Say that the password was reset with a mailed link, and what ended by that.

    Every call sends a mail.
    """
    reference = f"{user.pk}:{uuid4()}"
    notify(user, Kind.PASSWORD_RESET, reference=reference, ended=ended, **origin)


def mail_password_link(user: User | None, *, email: str) -> None:
    """Mail the link to a new password, or say to an address without an account that it has none.

    Both are one row of the outbox, so that nobody learns by the time it takes which one it is.
    Every call sends a mail.
    """
    Notice.objects.create(
        user=user,
        kind=Kind.PASSWORD_LINK if user else Kind.NO_ACCOUNT,
        reference=str(uuid4()),
        address="" if user else email,
        facts={} if user else {"language": get_language()},
    )


def notify_account_deleted(email: str, *, refunds: list[dict[str, object]]) -> None:
    """Say to the address of an account that is deleted what is refunded. Every call sends a mail.

    The row has no user and goes with the mail: nothing is to remember the address.
    """
    Notice.objects.create(
        kind=Kind.ACCOUNT_DELETED,
        reference=str(uuid4()),
        address=email,
        facts={"refunds": refunds, "language": get_language()},
    )


def notify_second_factor(user: User, *, change: str, **origin: Any) -> None:
    """Say that the second step of logging in was changed. Every call sends a mail."""
    reference = f"{user.pk}:{uuid4()}"
    notify(user, Kind.SECOND_FACTOR, reference=reference, change=change, **origin)


def notify_address_asked(user: User, *, reference: str, new_email: str, **origin: Any) -> None:
    """Say to the present address that somebody asked to replace it, once per reference."""
    facts = {"new_email": new_email, **origin}
    notify(user, Kind.ADDRESS_ASKED, reference=reference, to=user.email, **facts)


def notify_address_changed(user: User, *, old_email: str, new_email: str) -> None:
    """Say to both addresses that one has replaced the other. Every call sends both mails."""
    cause = f"{user.pk}:{uuid4()}"
    facts: dict[str, Any] = {"old_email": old_email, "new_email": new_email}
    for which, to in (("old", old_email), ("new", new_email)):
        notify(user, Kind.ADDRESS_CHANGED, reference=f"{cause}:{which}", to=to, **facts)
