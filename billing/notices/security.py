"""What customers are mailed about the security of their accounts."""

from datetime import datetime
from uuid import uuid4

from accounts.models import User
from billing.models import Notice
from billing.notices.notify import as_fact, notify

Kind = Notice.Kind


def notify_new_sign_in(
    user: User, *, reference: str, device_name: str, address: str, at: datetime
) -> None:
    """Say that somebody signed in from a browser and a network that are new for this user."""
    notify(
        user,
        Kind.NEW_SIGN_IN,
        reference=reference,
        device_name=device_name,
        address=address,
        at=as_fact(at),
    )


def notify_password_changed(user: User, *, device_name: str, address: str) -> None:
    """Say that the password was changed by somebody who was signed in. Every call sends a mail."""
    notify(
        user,
        Kind.PASSWORD_CHANGED,
        reference=f"{user.pk}:{uuid4()}",
        device_name=device_name,
        address=address,
    )


def notify_password_reset(
    user: User, *, ended: dict[str, object], device_name: str, address: str
) -> None:
    """Say that the password was reset with a mailed link, and what ended by that.

    Every call sends a mail.
    """
    notify(
        user,
        Kind.PASSWORD_RESET,
        reference=f"{user.pk}:{uuid4()}",
        ended=ended,
        device_name=device_name,
        address=address,
    )


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
    )


def notify_second_factor(user: User, *, change: str, device_name: str, address: str) -> None:
    """Say that the second step of logging in was changed. Every call sends a mail."""
    notify(
        user,
        Kind.SECOND_FACTOR,
        reference=f"{user.pk}:{uuid4()}",
        change=change,
        device_name=device_name,
        address=address,
    )


def notify_address_asked(
    user: User, *, reference: str, new_email: str, device_name: str, address: str
) -> None:
    """Say to the present address that somebody asked to replace it, once per reference."""
    notify(
        user,
        Kind.ADDRESS_ASKED,
        reference=reference,
        to=user.email,
        new_email=new_email,
        device_name=device_name,
        address=address,
    )


def notify_address_changed(user: User, *, old_email: str, new_email: str) -> None:
    """Say to both addresses that one has replaced the other. Every call sends both mails."""
    cause = uuid4()
    for to in (old_email, new_email):
        notify(
            user,
            Kind.ADDRESS_CHANGED,
            reference=f"{user.pk}:{cause}:{'old' if to == old_email else 'new'}",
            to=to,
            old_email=old_email,
            new_email=new_email,
        )
