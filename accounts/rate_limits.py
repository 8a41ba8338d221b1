"""When somebody who was refused for trying too often may try again."""

import math
import time

from allauth.account import app_settings
from allauth.core.internal import ratelimit
from django.core.cache import cache
from django.http import HttpRequest

# The action that allauth counts on each page.
ACTIONS = {
    "account_login": "login",
    "account_signup": "signup",
    "account_reset_password": "reset_password",
    "account_reset_password_from_key": "reset_password_from_key",
    "account_change_password": "change_password",
    "account_email": "manage_email",
    "account_reauthenticate": "reauthenticate",
    "mfa_reauthenticate": "reauthenticate",
    "status-subscribe": "status_subscribe",
}
DEFAULT_WAIT_S = 60


def seconds_to_wait(request: HttpRequest) -> int:
    """Return in how many seconds this page's limits allow one more request."""
    page = request.resolver_match.url_name if request.resolver_match else ""
    rates = ratelimit.parse_rates(app_settings.RATE_LIMITS.get(ACTIONS.get(page or "", "")))
    waits = (_wait(request, ACTIONS[page or ""], rate) for rate in rates)
    return max(waits, default=0) or DEFAULT_WAIT_S


def _wait(request: HttpRequest, action: str, rate: ratelimit.Rate) -> int:
    if rate.per == "user" and not request.user.is_authenticated:
        return 0
    key = ratelimit.get_cache_key(
        request,
        app="allauth.account",
        action=action,
        rate=rate,
        key=request.POST.get("email", "").lower(),
    )
    history: list[float] = cache.get(key) or []
    if len(history) < rate.amount:
        return 0
    wait_s: float = history[-1] + rate.duration - time.time()
    return max(1, math.ceil(wait_s))
