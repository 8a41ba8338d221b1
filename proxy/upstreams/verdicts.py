"""What an upstream's failure speaks against, and where the request may go next.

| answer | speaks against | next |
|---|---|---|
| 401; 403 that names the key | the key: it is ejected | another key |
| 401 that names a permission | the key, for this model | another key |
| 402; a quota error | the key's account: spared for long, staff are told | another key |
| 429 | the key, for this model: spared as long as it says | another key |
| 400, 413, 415, 422; what a customer can mend | the request | nowhere, it is the client's |
| no connection | the provider | another route |
| 500, 502, 503, a hang-up without a byte; an unknown model | the route | another route |
| 408, 504, 524; no answer in time; half an answer | the route | nowhere: it may have run |
| any other 4xx | nobody: customers could cause it | another route |

A provider's last key is never taken out of use: it is spared for that model and for a minute, and
staff are told. No other key could serve, and a provider can be wrong about a key.

Of an answer that a customer's words could have caused, only `code` and `type` are read, or
customers could spare our keys at will; of a 403's message, only the part that it does not quote.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from proxy.errors import UpstreamError, UpstreamHungUp, UpstreamNotReached, UpstreamRefused
from proxy.upstreams.mendable import find_mendable

QUOTA = re.compile(r"quota|billing|credit|balance|payment", re.IGNORECASE)
_KEY = re.compile(
    r"api.?key|authenti|unauthorized|invalid.?token|deactivated|disabled|suspended", re.IGNORECASE
)
# A rate limit's message may mention payment, as a way to a higher limit.
_RATE = re.compile(r"rate.?limit|^(?:requests|tokens)$", re.IGNORECASE)
# A key may have no right to one model and still have it to others.
_PERMISSION = re.compile(r"permission|scope", re.IGNORECASE)
# The quoted parts of a message are the client's own names and values. An apostrophe does not quote:
# the text between "you've" and "it's" may say that our quota is used up.
_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|`[^`]*`")
# The request itself is wrong; another upstream would say the same.
CLIENT_STATUSES = frozenset({400, 413, 415, 422})
# A gateway gave up waiting, while the request ran on behind it.
LATE_STATUSES = frozenset({408, 504, 524})


class Blame(Enum):
    """What a failure speaks against."""

    KEY_REVOKED = "key revoked"
    KEY_EXHAUSTED = "quota used up"
    KEY_BUSY = "rate limited"
    PROVIDER = "provider not reached"
    ROUTE = "route failed"
    NOBODY = "refused"


class Next(Enum):
    """Where the request may go."""

    KEY = "another key"
    ROUTE = "another route"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of a failure. Its summary is for staff and has no words of the upstream."""

    blame: Blame
    next: Next
    summary: str


def judge(error: UpstreamError) -> Verdict:
    """Judge a failure by the table above."""
    if isinstance(error, UpstreamRefused):
        blame, then = _judge_refusal(error)
        code = error.error.get("code") or error.error.get("type")
        is_word = isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code)
        return Verdict(blame, then, f"{error.status} {code}" if is_word else f"{error.status}")
    if isinstance(error, UpstreamHungUp):
        return Verdict(Blame.ROUTE, Next.ROUTE, f"hung up: {error}"[:200])
    if isinstance(error, UpstreamNotReached):
        return Verdict(Blame.PROVIDER, Next.ROUTE, f"not reached: {error}"[:200])
    return Verdict(Blame.ROUTE, Next.NOWHERE, str(error)[:200])


def _judge_refusal(refused: UpstreamRefused) -> tuple[Blame, Next]:
    status, error = refused.status, refused.error
    blame = _blame_key(refused)
    if blame is not None:
        return blame, Next.KEY
    if find_mendable(refused) is not None:
        return Blame.NOBODY, Next.NOWHERE
    if status in LATE_STATUSES:
        return Blame.ROUTE, Next.NOWHERE
    if status >= 500 or status < 400 or error.get("code") == "model_not_found":
        return Blame.ROUTE, Next.ROUTE
    return Blame.NOBODY, Next.ROUTE


def _blame_key(refused: UpstreamRefused) -> Blame | None:
    status, error = refused.status, refused.error
    is_rate = status == 429 and _says(_RATE, error, with_message=False)
    has_words = status == 403 or (status == 429 and not is_rate)
    if status == 402 or _says(QUOTA, error, with_message=has_words):
        return Blame.KEY_EXHAUSTED
    is_refused = status == 401 or (status == 403 and _says(_KEY, error, with_message=True))
    if is_refused and not _says(_PERMISSION, error, with_message=False):
        return Blame.KEY_REVOKED
    return Blame.KEY_BUSY if status == 429 or is_refused else None


def _says(pattern: re.Pattern[str], error: dict[str, Any], *, with_message: bool) -> bool:
    if any(pattern.search(str(error.get(name) or "")) for name in ("code", "type")):
        return True
    return with_message and bool(pattern.search(without_quotations(error.get("message"))))


def without_quotations(message: object) -> str:
    """Return an upstream's message without its quotations."""
    return _QUOTED.sub(" ", str(message or ""))
