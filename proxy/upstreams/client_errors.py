"""Tell refusals that are the client's fault, and are shown to it, from those that are ours.

Nothing is shown that may name an upstream: its host, its keys, its organisation, its name for the
model. A quota that ran out is ours and not the customer's, whatever its status.
"""

import re
from typing import Any

from proxy.errors import ApiError, InvalidRequest, UpstreamRefused
from proxy.upstreams.routes import UpstreamRoute
from proxy.upstreams.verdicts import CLIENT_STATUSES, without_quotations

MAX_MESSAGE_CHARS = 500
GENERIC = "The model refused the request as invalid."

# Our account at the upstream: its keys, money, organisation.
_OURS = r"(?:quota|billing|credit|balance|payment|organi[sz]ation|api.?key)"
# Part of a code, as in `insufficient_quota`. In messages only a whole word counts: a client's
# function `get_balance` does not.
_OURS_IN_CODE = re.compile(_OURS, re.IGNORECASE)
_OURS_IN_WORDS = re.compile(rf"\b{_OURS}s?\b", re.IGNORECASE)
# Addresses and identifiers: URLs, host names, `org-…`, `proj_…`, `sk-…`, `req_…`, long digits.
_IDENTIFYING = re.compile(
    r"://|\bwww\.|\b[a-z0-9-]+\.(?:com|net|org|io|ai|dev|cloud|local|internal|test|example)\b"
    r"|\b(?:org|proj|user|acct|sk|key|req|rk|pk)[-_][A-Za-z0-9]|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|\blocalhost\b|@",
    re.IGNORECASE,
)
_CODE = re.compile(r"^[a-z][a-z0-9_]{0,60}$")
_PARAM = re.compile(r"^[A-Za-z0-9_.\[\]]{1,100}$")


def to_client_error(refused: UpstreamRefused, route: UpstreamRoute, model: str) -> ApiError | None:
    """Return what the client is told, or None if the refusal is not the client's fault."""
    if refused.status not in CLIENT_STATUSES or _is_ours(refused.error):
        return None
    return InvalidRequest(
        _message(refused.error, route, model),
        status=refused.status,
        param=_matching(refused.error.get("param"), _PARAM),
        code=_matching(refused.error.get("code"), _CODE),
    )


def _is_ours(error: dict[str, Any]) -> bool:
    if any(_OURS_IN_CODE.search(str(error.get(name) or "")) for name in ("type", "code")):
        return True
    return bool(_OURS_IN_WORDS.search(without_quotations(error.get("message"))))


def _message(error: dict[str, Any], route: UpstreamRoute, model: str) -> str:
    message = error.get("message")
    if not isinstance(message, str) or not message or len(message) > MAX_MESSAGE_CHARS:
        return GENERIC
    message = message.replace(route.upstream_model, model)
    names = (route.upstream.name, *route.upstream.secrets)
    if _IDENTIFYING.search(message) or any(name in message for name in names):
        return GENERIC
    return message


def _matching(value: object, pattern: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and pattern.match(value) else None
