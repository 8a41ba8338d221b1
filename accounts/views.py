"""allauth's pages about addresses, as this site needs them."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.account.views import ConfirmEmailView, EmailView, SignupView
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.addresses import AddressTaken
from accounts.reauthentication import ask_again, must_ask_again


class SignUpView(SignupView):  # type: ignore[misc]
    """Create an account."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Sign up, unless somebody else was first with this address."""
        try:
            response: HttpResponse = super().form_valid(form)
        except AddressTaken:
            form.add_error("email", get_adapter().validation_error("email_taken"))
            response = self.form_invalid(form)
        return response


class AddressView(EmailView):  # type: ignore[misc]
    """Show a person's address and replace it, which takes effect with its confirmation."""

    template_name = "account/email.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the page, after asking for the password if necessary."""
        if must_ask_again(request):
            return ask_again(request)
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Request a change, send its link again, or give it up."""
        if "action_primary" in request.POST:
            return redirect("account_email")
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response

    def get_context_data(self, **given: Any) -> dict[str, Any]:
        """Add the present address, and the other addresses that are kept."""
        user = self.request.user
        known = EmailAddress.objects.filter(user=user).order_by("pk")
        return {
            **super().get_context_data(**given),
            "present": known.filter(email=user.email).first(),
            "others": known.exclude(email=user.email),
        }


class ConfirmAddressView(ConfirmEmailView):  # type: ignore[misc]
    """Confirm an address, which takes its link and the account: a session of it or its password.

    By the link alone, the reader of the address would make good what a stranger signed up with.
    """

    def logout_other_user(self, confirmation: Any) -> None:
        """Leave whoever is signed in signed in: they can't confirm another account's address."""

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """Confirm the address of the account that is signed in; ask others to sign in to it."""
        if not self._is_theirs(self.get_object()):
            return redirect_to_login(self.request.get_full_path())
        response: HttpResponse = super().post(*args, **kwargs)
        return response

    def get_context_data(self, **given: Any) -> dict[str, Any]:
        """Add whether the account is signed in here."""
        is_theirs = self.object is not None and self._is_theirs(self.object)
        return {**super().get_context_data(**given), "is_theirs": is_theirs}

    def _is_theirs(self, confirmation: Any) -> bool:
        return bool(confirmation.email_address.user_id == self.request.user.pk)
