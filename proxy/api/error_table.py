"""Turn every error into an answer in OpenAI's envelope, by one table.

An ApiError has its status; the table is for errors of the domain, which know nothing of HTTP.
An error that is not in it is a defect: it is logged and answered with 500, without details.
"""

import time
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework.exceptions import APIException
from rest_framework.response import Response

from accounts.teams.exceptions import TeamError
from billing import exceptions as billing
from billing.wallet.usage import month_end, month_of
from common.request_lines import note_request
from proxy import errors as proxy
from proxy.errors import ApiError, Interrupted, UpstreamError, is_client_gone
from proxy.http.headers import rate_limit_headers
from proxy.serving.endings import failure_answer

log = structlog.get_logger(__name__)


def to_api_error(error: Exception) -> ApiError:
    """Return the ApiError to answer an error with. Logs a defect."""
    if isinstance(error, ApiError):
        return error
    for kind, translate in TABLE:
        if isinstance(error, kind):
            return translate(error)
    log.error("request_failed", exc_info=error)
    return proxy.Defect()


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an error in the envelope: DRF's exception handler. None if the client is gone."""
    # The pages of the schema are views of the same framework, without a connection of ours.
    connection = getattr(context["view"], "connection", None)
    if is_client_gone(error) or (connection is not None and connection.has_started):
        return None
    told = to_api_error(error)
    if connection is not None:
        note_request(connection.scope, error=told.code or told.type)
    return Response(told.envelope(), status=told.status, headers=told.headers)


def to_response(error: ApiError) -> HttpResponse:
    """Render an error that was raised outside of a view."""
    return HttpResponse(
        orjson.dumps(error.envelope()),
        status=error.status,
        content_type="application/json",
        headers=error.headers,
    )


def _top_up_url() -> str:
    return f"{settings.SITE_URL}/packs/"


def _insufficient_credits(error: Exception) -> ApiError:
    return proxy.InsufficientQuota(
        "Your balance does not cover this request. Lower max_tokens, or buy credits: "
        f"top_up_url: {_top_up_url()}"
    )


def _in_debt(error: Exception) -> ApiError:
    return proxy.InsufficientQuota(
        "Your balance is below zero after a refund or a dispute. The next order settles it: "
        f"top_up_url: {_top_up_url()}"
    )


def _frozen(error: Exception) -> ApiError:
    return proxy.AccountFrozen(
        f"This account is frozen. Write to {settings.SUPPORT_EMAIL} to have it looked at."
    )


def _capped(error: Exception) -> ApiError:
    assert isinstance(error, billing.CapReached)  # noqa: S101  # by the table
    cap = "monthly spending cap" if error.is_monthly else "spending cap"
    if error.is_members:
        whose, who = f"The {cap} of the member who made this API key", "an admin of the team"
    else:
        whose, who = f"This API key's {cap}", "its owner"
    refused = (
        f"{whose} does not cover this request: {error.left_credits:,} of "
        f"{error.cap_credits:,} credits are left."
    )
    if not error.is_monthly:
        return proxy.InsufficientQuota(
            f"{refused} {who.capitalize()} can raise the cap in the dashboard."
        )
    resets_at = month_end(month_of(time.time_ns() // 1_000_000))
    return proxy.InsufficientQuota(
        f"{refused} It resets at {resets_at:%Y-%m-%d %H:%M} UTC; {who} can raise it in the "
        "dashboard."
    )


def _rate_limited(error: Exception) -> ApiError:
    assert isinstance(error, billing.RateLimited)  # noqa: S101  # by the table
    whose = "all API keys of this account together" if error.is_wallets else "this API key"
    return proxy.RateLimitExceeded(
        f"Rate limit reached: {error.limit:,} {error.what.value} for {whose}.",
        retry_after_s=error.retry_after_ms / 1_000,
        headers=rate_limit_headers(error.rate),
    )


def _too_large(error: Exception) -> ApiError:
    assert isinstance(error, billing.RequestTooLarge)  # noqa: S101  # by the table
    return proxy.TokenLimitExceeded(
        f"This request may use {error.tokens:,} tokens, more than the {error.tokens_per_minute:,} "
        "tokens per minute that you may use. Shorten it, or lower max_tokens."
    )


def _too_many_orders(error: Exception) -> ApiError:
    return proxy.RateLimitExceeded(
        "There are too many unpaid orders. Pay one of them, or try again in an hour.",
        retry_after_s=3_600,
    )


def _rest_framework(error: Exception) -> ApiError:
    status = error.status_code if isinstance(error, APIException) else 400
    if status >= 500:
        return proxy.Defect()
    return proxy.InvalidRequest("The request was not understood.", status=status)


# The first row that fits counts, so a subclass stands before its base class.
TABLE: list[tuple[type[Exception], Callable[[Exception], ApiError]]] = [
    (billing.InsufficientCredits, _insufficient_credits),
    (billing.WalletInDebt, _in_debt),
    (billing.WalletFrozen, _frozen),
    (billing.CapReached, _capped),
    (billing.RateLimited, _rate_limited),
    (
        billing.CurrencyUnproven,
        lambda error: proxy.PackNotFound(
            "This pack can't be sold in its currency at the moment. Choose another one."
        ),
    ),
    (billing.PackUnavailable, lambda error: proxy.PackNotFound()),
    (TeamError, lambda error: proxy.RoleRefused()),
    (billing.TooManyOrders, _too_many_orders),
    (
        billing.PaymentProviderError,
        lambda error: proxy.BooksUnavailable("Payments are not available right now."),
    ),
    (billing.WalletBacklogged, lambda error: proxy.BooksUnavailable()),
    (billing.RequestTooLarge, _too_large),
    # A missing or stale wallet is repaired before; if the repair failed, so has the wallet.
    (billing.WalletError, lambda error: proxy.WalletUnavailable()),
    (OperationalError, lambda error: proxy.BooksUnavailable()),
    (InterfaceError, lambda error: proxy.BooksUnavailable()),
    (UpstreamError, failure_answer),
    (Interrupted, failure_answer),
    (Http404, lambda error: proxy.InvalidRequest("Not found.", status=404, code="not_found")),
    (APIException, _rest_framework),
]
