"""Users as commands name them: by e-mail address."""

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.core.validators import validate_email

from accounts.models import User


def get_or_create_user(email: str) -> User:
    """Return the user with this address; a new one can't log in until the password is reset."""
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError as error:
        raise CommandError(f"{email!r} is not an e-mail address.") from error
    return User.objects.filter(email=address).first() or User.objects.create_user(address)
