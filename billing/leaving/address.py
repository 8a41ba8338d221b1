"""Another address for somebody who can't read their old one any more, given by staff.

Whoever reads an account's address can have its password reset, so this gives the account away. The
old address is told at once; who is logged in is logged out; the second factor stays. The new
address counts as confirmed, because two of the staff vouch for whose it is: otherwise the reset of
the password, which comes next, would end the customer's API keys as a stranger's.
"""

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.db import IntegrityError, transaction

from accounts.addresses import AddressTaken, has_left, is_confirmed, lock_user
from accounts.models import User
from billing.notices.security import notify_address_changed
from billing.notices.status.subscriptions import move_subscription


def why_address_stays(user: User | None) -> str:
    """Return why staff can't give somebody another address; nothing if they can."""
    if user is None:
        return "A team has no address: its members have."
    if has_left(user):
        return "The account is deleted."
    if user.is_staff or user.is_superuser:
        return "It is a member of staff's: only they change it, on their own page."
    return ""


def give_address(user: User, email: str) -> None:
    """Replace a person's address, and mail both. Raises AddressTaken; nothing is changed then."""
    try:
        with transaction.atomic():
            _replace(lock_user(user), email)
    except IntegrityError as error:
        raise AddressTaken("Somebody else has this address.") from error


def _replace(user: User, email: str) -> None:
    known = EmailAddress.objects.filter(email__iexact=email, verified=True)
    others = User.objects.filter(email__iexact=email)
    if known.exclude(user=user).exists() or others.exclude(pk=user.pk).exists():
        raise AddressTaken("Somebody else has this address.")
    if user.email == email:
        raise AddressTaken("It is their address already.")
    was_theirs = is_confirmed(user)
    old_email, user.email = user.email, email
    user.save(update_fields=["email"])
    EmailAddress.objects.filter(user=user).delete()
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    for session in UserSession.objects.filter(user=user):
        session.end()
    notify_address_changed(user, old_email=old_email, new_email=email)
    if was_theirs:
        move_subscription(old=old_email, new=email)
