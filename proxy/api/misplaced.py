"""Tell a program that asks for what is not there what is meant to be.

Clients append paths such as /chat/completions to their base URL. If that lacks /v1, has it twice
or in capitals, the site would answer with a page that no program can read.
"""

import re

from django.conf import settings

from proxy.http.connection import Scope
from proxy.parsing.endpoints import OUT_OF_SCOPE

API = "/v1"
_BEFORE = r"/(?:(?:api|openai|v\d+)/)*"
_CALLED = re.compile(
    _BEFORE + r"(?P<path>(?:chat/completions|completions|embeddings|responses|estimate|checkout"
    r"|credits|key|models|usage)(?:/.*)?)",
    re.IGNORECASE | re.DOTALL,
)
_VERSIONED = re.compile(r"/(?:(?:api|openai)/)*v\d+(?:/.*)?", re.IGNORECASE | re.DOTALL)
# What is a page of the site, too.
_PAGES = ("/models", "/checkout", "/api/")


def is_for_api(scope: Scope) -> bool:
    """Tell whether a request is for the API, or from a program that looks for it elsewhere."""
    path = scope["path"]
    if path == API or path.startswith(f"{API}/"):
        return True
    plain = _without_repeated_slashes(path)
    if not _CALLED.fullmatch(plain) and not _VERSIONED.fullmatch(plain):
        return False
    headers = dict(scope["headers"])
    if path.startswith(_PAGES) and b"authorization" not in headers:
        return False
    return b"text/html" not in headers.get(b"accept", b"")


def find_hint(path: str) -> str:
    """Return what to do about a path of the API at which there is nothing; "" if unknown."""
    known = _CALLED.fullmatch(_without_repeated_slashes(path))
    if not path.startswith(f"{API}/") or (known and path != f"{API}/{known['path']}"):
        return f"The API's base URL is {settings.SITE_URL}{API}."
    if known and path.endswith("/"):
        return "Leave out the slash at its end."
    if what := _find_out_of_scope(path.removeprefix(f"{API}/")):
        return f"{what} is not offered here: see {settings.SITE_URL}/docs/not-offered/."
    return ""


def _without_repeated_slashes(path: str) -> str:
    return re.sub("/+", "/", path)


def _find_out_of_scope(path: str) -> str:
    found = (what for start, what in OUT_OF_SCOPE.items() if f"{path}/".startswith(f"{start}/"))
    return next(found, "")
