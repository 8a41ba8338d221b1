"""How allauth behaves on this site."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext

from accounts.addresses import MOST_CHARS
from accounts.models import User
from accounts.reauthentication import has_just_signed_in, note_signed_in


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Stores e-mail addresses in lower case, so that one person has one account."""

    def clean_email(self, email: str) -> Any:
        """Return the address as it is stored and compared. Every form asks here."""
        cleaned = str(super().clean_email(email)).lower()
        if len(cleaned) > MOST_CHARS:
            raise ValidationError(
                gettext("An address has at most {most_chars} characters.").format(
                    most_chars=MOST_CHARS
                )
            )
        return cleaned

    def can_delete_email(self, email_address: EmailAddress) -> bool:
        """Refuse to delete a person's present address: it can only be replaced."""
        if email_address.email == email_address.user.email:
            return False
        return bool(super().can_delete_email(email_address))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """Return the link of a mail, which never depends on the Host that a request named."""
        path = reverse("account_confirm_email", args=[emailconfirmation.key])
        return f"{settings.SITE_URL}{path}"

    def post_login(self, request: HttpRequest, user: User, **given: Any) -> HttpResponse:
        """Note the time, so that a person who has just signed in is not asked again."""
        response: HttpResponse = super().post_login(request, user, **given)
        note_signed_in(request)
        return response

    def is_reauthentication_required(self, *, app: str, **given: Any) -> bool:
        """Ask before something sensitive, unless this browser signed in just now."""
        is_asked = bool(super().is_reauthentication_required(app=app, **given))
        return is_asked and not has_just_signed_in(self.request)

    def reauthenticate(self, user: Any, password: str) -> bool:
        """Check the password of a person's present address, confirmed or not."""
        found = self.authenticate(self.request, email=user.email, password=password)
        return found is not None and found.pk == user.pk
