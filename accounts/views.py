"""allauth's page of addresses for this site: one, and perhaps one that is to replace it."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.views import EmailView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.reauthentication import ask_again, must_ask_again


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
