"""What customers are mailed about the security of their accounts."""

from datetime import datetime

from accounts.models import User
from billing.models import Notice
from billing.notices.notify import as_fact, notify

Kind = Notice.Kind


def notify_new_sign_in(
    user: User, *, reference: str, device_name: str, address: str, at: datetime
) -> None:
    """Say that somebody signed in from a browser and network that were not seen before."""
    notify(
        user,
        Kind.NEW_SIGN_IN,
        reference=reference,
        device_name=device_name,
        address=address,
        at=as_fact(at),
    )
