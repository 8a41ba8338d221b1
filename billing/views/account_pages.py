"""allauth's pages that need to know billing: a new password, and where one is logged in."""

from typing import Any, cast

from allauth.account.adapter import get_adapter
from allauth.account.views import PasswordResetFromKeyView
from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from billing.notices.sign_ins import name_device
from billing.views.account_adapter import AccountAdapter


class ChoosePasswordView(PasswordResetFromKeyView):  # type: ignore[misc]
    """Set a new password, and know this browser from now on."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Save the password and answer as allauth does."""
        response: HttpResponse = super().form_valid(form)
        cast(AccountAdapter, get_adapter()).remember_browser(response, self.reset_user)
        return response


class SessionsView(ListUserSessionsView):  # type: ignore[misc]
    """Show where a person is logged in, and log out one browser or all others."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Log out the browser that is named, or all but this one."""
        if "session" not in request.POST:
            response: HttpResponse = super().post(request, *args, **kwargs)
            return response
        number = request.POST["session"]
        theirs = UserSession.objects.filter(user=request.user)
        end_sessions(request, theirs.filter(pk=number) if number.isdecimal() else theirs.none())
        return redirect("usersessions_list")

    def get_context_data(self, **given: Any) -> dict[str, Any]:
        """Name each session's browser."""
        context: dict[str, Any] = super().get_context_data(**given)
        for session in context["sessions"]:
            session.device_name = name_device(session.user_agent)
        return context
