"""allauth's forms for a forgotten password: one asks for the link, one is behind it."""

from typing import Any, cast

from allauth.account.adapter import get_adapter
from allauth.account.forms import ResetPasswordForm, ResetPasswordKeyForm
from django.http import HttpRequest

from accounts.models import User
from billing.keys.takeovers import Doubtful, find_doubtful
from billing.notices.security import mail_password_link
from billing.views.account_adapter import AccountAdapter


class ResetByAddressForm(ResetPasswordForm):  # type: ignore[misc]
    """Mails a link to a person's present address, never to one that waits to be confirmed."""

    users: list[User]

    def clean_email(self) -> Any:
        """Return the address, and find whose present address it is, by one query for anybody."""
        email = get_adapter().clean_email(self.cleaned_data["email"])
        self.users = list(User.objects.filter(email=email, is_active=True))
        return email

    def save(self, request: HttpRequest, **given: Any) -> str:
        """Have a mail sent, whether there is an account or not, in the same time."""
        email: str = self.cleaned_data["email"]
        mail_password_link(self.users[0] if self.users else None, email=email)
        return email


class ChoosePasswordForm(ResetPasswordKeyForm):  # type: ignore[misc]
    """Sets the password that the reader of the mailed link chose."""

    user: User

    @property
    def doubtful(self) -> Doubtful:
        """Return what ends with the present password, for the page to list."""
        return find_doubtful(self.user)

    def save(self) -> None:
        """Set the password, and confirm the address that the link was mailed to."""
        adapter = cast(AccountAdapter, get_adapter())
        adapter.reset_password(self.user, self.cleaned_data["password1"])
