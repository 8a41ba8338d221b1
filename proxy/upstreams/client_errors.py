"""Tell refusals that are the client's fault, and are shown to it, from those that are ours.

Nothing is shown that may name an upstream: its host, its keys, its organisation, its name for the
model, its prices. A quota that ran out is ours and not the customer's, whatever its status. What
the customer itself sent, such as the address of an image or the name of a function, may be named.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from proxy.errors import ApiError, ModelRefused, UpstreamRefused
from proxy.upstreams.mendable import find_mendable
from proxy.upstreams.routes import UpstreamRoute
from proxy.upstreams.verdicts import CLIENT_STATUSES, without_quotations

MAX_MESSAGE_CHARS = 1_000
GENERIC = "The model refused the request as invalid."

# Our account at the upstream: its keys, money, organisation.
_OURS = r"(?:quota|billing|credit|balance|payment|organi[sz]ation|api.?key)"
# Part of a code, as in `insufficient_quota`. In messages only a whole word counts: a client's
# function `get_balance` does not.
_OURS_IN_CODE = re.compile(_OURS, re.IGNORECASE)
_OURS_IN_WORDS = re.compile(rf"\b{_OURS}s?\b", re.IGNORECASE)
# Addresses and identifiers: URLs, host names, `org-…`, `proj_…`, `sk-…`, `req_…`, long digits; and
# prices, and who sells models or serves them.
_IDENTIFYING = re.compile(
    r"://|\bwww\.|\b[a-z0-9-]+\.(?:com|net|org|io|ai|dev|cloud|local|internal|test|example)\b"
    r"|\b(?:org|proj|user|acct|sk|key|req|rk|pk)[-_][A-Za-z0-9]|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|\blocalhost\b|@|[$€£]|\b(?:usd|eur|cents?|price[ds]?|costs?)\b"
    r"|open-?ai|azure|anthropic|claude|google|gemini|vertex|bedrock|\baws\b|amazon|groq|mistral"
    r"|\bx-?ai\b|grok|deepseek|moonshot|kimi|open-?router|together|fireworks|cerebras|perplexity"
    r"|cohere|nvidia|hugging ?face|litellm|vllm|sglang|ollama|llama\.?cpp|one-?api|new-?api"
    r"|dashscope|aliyun|volcengine|siliconflow|zhipu|bigmodel|minimax|novita|deepinfra|replicate",
    re.IGNORECASE,
)
_CODE = re.compile(r"^[a-z][a-z0-9_]{0,60}$")
_PARAM = re.compile(r"^[A-Za-z0-9_.\[\]]{1,100}$")
# Parts of a message that may be the customer's own words: quoted ones and addresses.
_OWN = re.compile(
    r"'([^'\n]{1,300})'|\"([^\"\n]{1,300})\"|`([^`\n]{1,300})`|(https?://[^\s'\"<>`]+)"
)
# A message has few of them; a body may be large.
_MOST_OWN = 20


def to_client_error(
    refused: UpstreamRefused, route: UpstreamRoute, model: str, *, sent: bytes = b""
) -> ApiError | None:
    """Return what the client is told, or None if the refusal is not the client's fault.

    `sent` is the client's own body.
    """
    if _is_ours(refused.error):
        return None
    if mendable := find_mendable(refused):
        return mendable
    if refused.status not in CLIENT_STATUSES:
        return None
    return ModelRefused(
        _message(refused.error, route, model, sent),
        status=refused.status,
        param=_matching(refused.error.get("param"), _PARAM),
        code=_matching(refused.error.get("code"), _CODE),
    )


def _is_ours(error: dict[str, Any]) -> bool:
    if any(_OURS_IN_CODE.search(str(error.get(name) or "")) for name in ("type", "code")):
        return True
    return bool(_OURS_IN_WORDS.search(without_quotations(error.get("message"))))


def _message(error: dict[str, Any], route: UpstreamRoute, model: str, sent: bytes) -> str:
    message = error.get("message")
    if not isinstance(message, str) or not message or len(message) > MAX_MESSAGE_CHARS:
        return GENERIC
    message = message.replace(route.upstream_model, model)
    words = _without_own(message, sent).replace(model, "")
    upstream = route.upstream
    host = urlsplit(upstream.base_url).hostname or upstream.name
    names = (upstream.name, host, *upstream.secrets)
    if _IDENTIFYING.search(words) or any(name.lower() in words.lower() for name in names):
        return GENERIC
    return message


def _without_own(message: str, sent: bytes) -> str:
    """Return a message without what the customer sent, letter by letter."""
    for found in list(_OWN.finditer(message))[:_MOST_OWN]:
        own = next(filter(None, found.groups())).rstrip(".,;:)")
        if own.encode(errors="replace") in sent:
            message = message.replace(own, "")
    return message


def _matching(value: object, pattern: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and pattern.match(value) else None
