"""The request of a customer who is logged in."""

from collections.abc import Callable
from typing import TypeVar

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache
from django_htmx.middleware import HtmxDetails

from accounts.models import User

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class HtmxRequest(HttpRequest):
    """A request that may come from htmx, which wants a part of a page."""

    htmx: HtmxDetails
    user: User | AnonymousUser


class CustomerRequest(HtmxRequest):
    """A request whose user is known. Every query of a view goes through `user`."""

    user: User  # narrower than the parent's, which `customer_only` makes true


def customer_only(view: View) -> View:
    """Send others to the log-in page, and keep answers out of every cache."""
    return never_cache(login_required(view))
