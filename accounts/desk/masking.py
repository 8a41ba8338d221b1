"""Addresses at the desk: hidden from staff who may not see them, on every page alike.

The finished page is masked, not each field, so that a new field, a message or a customer's own
words can't forget it. What staff typed themselves stays as it is.
"""

import html
import re
from collections.abc import Callable, Set
from contextlib import suppress
from functools import wraps
from ipaddress import IPv4Address, ip_address
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse

from accounts.desk.roles import SEES_ADDRESSES

# Neither escaped HTML nor JSON has any of these in an address.
WORD = re.compile(r"[^\s<>\"']+")
NETWORK = re.compile(r"[0-9A-Fa-f:.]+")
AROUND = ".,:;()[]"
TEXTS = ("text/", "application/json")
View = Callable[..., HttpResponseBase]


def masked(view: View) -> View:
    """Let a view's answer show addresses to those alone who may see them.

    Others get no answer that can't be masked, such as a PDF.
    """

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if request.user.has_perm(SEES_ADDRESSES):
            return response
        is_text = response.get("Content-Type", "").startswith(TEXTS)
        if not (is_text and isinstance(response, HttpResponse)):
            raise PermissionDenied
        known = known_words(request)
        if isinstance(response, SimpleTemplateResponse):
            response.add_post_render_callback(lambda done: mask_answer(done, known))
        else:
            mask_answer(response, known)
        return response

    return shown


def known_words(request: HttpRequest) -> set[str]:
    """Return the addresses that are no secret to whoever asks."""
    typed = (*request.GET.values(), *request.POST.values())
    own = (getattr(request.user, "email", ""), settings.SUPPORT_EMAIL)
    return {form for text in (*typed, *own) for form in (html.escape(str(text)), quote(str(text)))}


def mask_answer(response: HttpResponse, known: Set[str]) -> None:
    """Mask a rendered answer's text."""
    response.content = mask(response.content.decode(response.charset or "utf-8"), known)


def mask(text: str, known: Set[str] = frozenset()) -> str:
    """Return a text with its e-mail and network addresses masked. Linear in its length."""
    return WORD.sub(lambda found: mask_word(found[0], known), text)


def mask_word(word: str, known: Set[str]) -> str:
    if word.strip(AROUND) in known:
        return word
    for at in ("@", "%40"):
        name, sign, domain = word.rpartition(at)
        if sign and name and "." in domain:
            return f"{html.escape(html.unescape(name)[0])}…@{domain}"
    return NETWORK.sub(mask_network, word) if "." in word or ":" in word else word


def mask_network(found: re.Match[str]) -> str:
    for text in (found[0], found[0].rstrip(AROUND)):
        with suppress(ValueError):
            address = ip_address(text)
            if isinstance(address, IPv4Address):
                return ".".join([*text.split(".")[:2], "…"])
            return f"{address.exploded[:9]}:…"
    return found[0]
