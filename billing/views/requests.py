"""The request of a customer who is logged in."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from urllib.parse import urlsplit

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import get_script_prefix, resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.models import Membership, Team, User
from accounts.reauthentication import ask_again, must_ask_again
from accounts.teams.members import own_seat
from accounts.teams.roles import Deed, may


class HtmxRequest(HttpRequest):
    """A request that may come from htmx, which wants a part of a page."""

    htmx: HtmxDetails
    user: User | AnonymousUser


class CustomerRequest(HtmxRequest):
    """A request whose user and team are known. Every query of a view goes through these.

    `seat` is the user's membership of the team that the page is about.
    """

    user: User  # narrower than the parent's type; `customer_only` ensures it
    seat: Membership
    team: Team


View = Callable[..., HttpResponseBase]


def member_only(deed: Deed) -> Callable[[View], View]:
    """Send others to the log-in page, refuse members whose role may not do this, and keep answers
    out of every cache.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: CustomerRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not may(request.seat, deed):
                raise PermissionDenied(f"A {request.seat.role} may not {deed}.")
            return view(request, *args, **kwargs)

        vars(checked)["deed"] = deed
        return customer_only(checked)

    return decorate


def customer_only(view: View) -> View:
    """Send others to the log-in page, and keep answers out of every cache."""

    @wraps(view)
    def checked(request: HtmxRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            if request.path != f"{get_script_prefix()[:-1]}{request.path_info}":
                # A kept request is carried out under the address of another team.
                raise Http404("This page is another team's.")
            if not hasattr(request, "seat"):
                seat = own_seat(request.user)
                vars(request).update(seat=seat, team=seat.team)
            return view(cast(CustomerRequest, request), *args, **kwargs)
        answer = redirect_to_login(page_to_return_to(request))
        # htmx would insert the log-in page into the present one.
        return HttpResponseClientRedirect(answer.url) if request.htmx else answer

    return never_cache(checked)


def fresh_only(*methods: str) -> Callable[[View], View]:
    """Ask for the password before requests with these methods, unless it was entered recently.

    The request is kept and carried out afterwards, so this decorator stands below `customer_only`
    and above the rest.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: CustomerRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in methods:
                return view(request, *args, **kwargs)
            if not must_ask_again(request):
                # A kept request is carried out at the address of the page that asked.
                request.resolver_match = resolve(request.path_info)
                return view(request, *args, **kwargs)
            is_htmx = bool(request.htmx)
            answer = ask_again(request)
            # htmx would insert the page that asks into the present one.
            return HttpResponseClientRedirect(answer["Location"]) if is_htmx else answer

        return checked

    return decorate


def page_to_return_to(request: HtmxRequest) -> str:
    """Return the page that the customer was on, because a POST can't be sent again."""
    if request.method in ("GET", "HEAD") and not request.htmx:
        return request.get_full_path()
    page = request.htmx.current_url if request.htmx else request.headers.get("Referer")
    if page and url_has_allowed_host_and_scheme(page, {request.get_host()}):
        parts = urlsplit(page)
        return parts._replace(scheme="", netloc="", fragment="").geturl()
    return reverse("dashboard")
