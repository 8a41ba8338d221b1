"""E-mail addresses: which one a person has, whether it was confirmed, and how long one may be."""

from allauth.account.models import EmailAddress

from accounts.models import User
from common.exceptions import DomainError

# What the database keeps. RFC 5321 allows 254 characters as well.
MOST_CHARS: int = EmailAddress._meta.get_field("email").max_length or 0
# The end of the addresses that deleted accounts are given: RFC 2606 keeps mail from it.
NOWHERE = "@deleted.invalid"


class AddressTaken(DomainError):
    """Somebody else's account has this address."""


def is_confirmed(user: User) -> bool:
    """Tell whether the reader of a person's present address has ever confirmed it."""
    confirmed = EmailAddress.objects.filter(user=user, email=user.email, verified=True)
    return bool(confirmed.exists())


def has_left(user: User) -> bool:
    """Tell whether a person's account was deleted."""
    return not user.is_active and user.email.endswith(NOWHERE)


def lock_user(user: User) -> User:
    """Return a person as they are now. Others who lock them wait for the transaction's end."""
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


def other_addresses(user: User) -> list[str]:
    """Return the addresses beside the present one: they open the account, or are to replace it."""
    others = EmailAddress.objects.filter(user=user).exclude(email=user.email)
    return list(others.order_by("pk").values_list("email", flat=True))
