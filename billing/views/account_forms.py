"""allauth's form behind the mailed link to a new password, which also takes an account over."""

from typing import cast

from allauth.account.adapter import get_adapter
from allauth.account.forms import ResetPasswordKeyForm

from accounts.models import User
from billing.keys.takeovers import Doubtful, find_doubtful
from billing.views.account_adapter import AccountAdapter


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
