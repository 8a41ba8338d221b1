"""Whom an upstream's failure speaks against, and where the request may go next.

| answer | speaks against | next |
|---|---|---|
| 401; 403 that names the key | the key: it is ejected | another key |
| 401 that names a permission | the key, for this model | another key |
| 402; a quota error | the key's account: spared for long, staff are told | another key |
| 429 | the key, for this model: spared as long as it says | another key |
| 400, 413, 415, 422 | the request | nowhere, it is the client's |
| no connection | the provider | another route |
| 500, 502, 503, a hang-up without a byte; an unknown model | the route | another route |
| 408, 504, 524; no answer in time; half an answer | the route | nowhere: it may have run |
| any other 4xx | nobody: customers could cause it | another route |

A provider's last key is never taken away: it rests for that model alone, for a minute, and staff
are told all the same. Nothing else would serve, and a provider can be wrong about a key too.

Only `code` and `type` are read of an answer to which a customer's words could have led, or they
could spare our keys at will; and of a 403's message only what it does not quote.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from proxy.errors import UpstreamError, UpstreamHungUp, UpstreamNotReached, UpstreamRefused

QUOTA = re.compile(r"quota|billing|credit|balance|payment", re.IGNORECASE)
_KEY = re.compile(
    r"api.?key|authenti|unauthorized|invalid.?token|deactivated|disabled|suspended", re.IGNORECASE
)
# Words of a rate limit's message may speak of payment, as a way to a higher one.
_RATE = re.compile(r"rate.?limit|^(?:requests|tokens)$", re.IGNORECASE)
# A key may lack the right to one model and have it to others.
_PERMISSION = re.compile(r"permission|scope", re.IGNORECASE)
# What a message quotes are the client's own names and values. An apostrophe quotes nothing: between
# "you've" and "it's" may stand that our quota is used up.
_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|`[^`]*`")
# The request itself is wrong; another upstream would say the same.
CLIENT_STATUSES = frozenset({400, 413, 415, 422})
# A gateway gave up waiting, while the request ran on behind it.
LATE_STATUSES = frozenset({408, 504, 524})


class Blame(Enum):
    """Whom a failure speaks against."""

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
    """What to make of a failure. Its summary is for staff and has no words of the upstream."""

    blame: Blame
    next: Next
    summary: str


def judge(error: UpstreamError) -> Verdict:
    """Return what to make of a failure."""
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
    """Return what an upstream says in words of its own."""
    return _QUOTED.sub(" ", str(message or ""))
