"""The page behind the mailed link to a new password."""

from typing import Any, cast

from allauth.account.adapter import get_adapter
from allauth.account.views import PasswordResetFromKeyView
from django.http import HttpResponse

from billing.views.account_adapter import AccountAdapter


class ChoosePasswordView(PasswordResetFromKeyView):  # type: ignore[misc]
    """Set a new password, and know this browser from now on."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Save the password and answer as allauth does."""
        response: HttpResponse = super().form_valid(form)
        cast(AccountAdapter, get_adapter()).remember_browser(response, self.reset_user)
        return response
