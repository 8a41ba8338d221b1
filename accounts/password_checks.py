"""How an address and a password are checked."""

from allauth.account.auth_backends import AuthenticationBackend
from django.db.models import Q

from accounts.models import User


class AddressChecker(AuthenticationBackend):  # type: ignore[misc]
    """Finds a person by one query, whether there is one or not, so that its time tells nothing."""

    def _authenticate_by_email(self, email: str, password: str) -> User | None:
        is_present = Q(email=email.lower())
        is_other = Q(emailaddress__email=email.lower(), emailaddress__verified=True)
        user = User.objects.filter(is_present | is_other).order_by("pk").first()
        found: User | None = self._check_password(user, password)
        return found
