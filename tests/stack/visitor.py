"""Somebody with a browser, as far as forms, cookies and redirects go."""

import html
import re
import ssl
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from tests.stripe_sandbox import PAYS, Sandbox

CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
SECRET = re.compile(r'<code id="new-secret">([^<]+)</code>')
REVOKE = re.compile(r'(/dashboard/keys/\d+/revoke/)"')
PASSWORD = "correct horse battery staple 9"


class Place(Protocol):
    """Where the site is, and Stripe: a stack has it."""

    @property
    def url(self) -> str: ...
    @property
    def stripe_url(self) -> str: ...
    @property
    def env(self) -> Mapping[str, str]: ...


class Visitor:
    """One person on the site, with cookies of their own. Whoever opens one closes it."""

    def __init__(self, stack: Place, *, verify: ssl.SSLContext | bool = True) -> None:
        self._stack = stack
        self._stripe = Sandbox(stack.stripe_url, stack.env["STRIPE_SECRET_KEY"])
        self.http = httpx.Client(base_url=stack.url, timeout=30, trust_env=False, verify=verify)

    def close(self) -> None:
        self.http.close()
        self._stripe.close()

    def submit(self, page: str, *, action: str | None = None, **fields: str) -> httpx.Response:
        """Open a page and submit its form, whose hidden token the site wants back."""
        seen = self.http.get(page)
        assert seen.status_code == 200, seen
        [token, *_] = CSRF.findall(seen.text)
        return self.http.post(
            action or page,
            data={"csrfmiddlewaretoken": token, **fields},
            headers={"referer": f"{self._stack.url}{page}"},
        )

    def sign_up(self, email: str) -> None:
        done = self.submit("/accounts/signup/", email=email, password1=PASSWORD)
        assert (done.status_code, done.headers["location"]) == (302, "/dashboard/"), done.text

    def order(self, pack: str) -> str:
        """Order a pack and return the Checkout Session that the site sends to."""
        sent_on = self.submit(f"/billing/checkout/{pack}/")
        assert sent_on.status_code == 302, sent_on.text
        page = sent_on.headers["location"]
        assert page.startswith(f"{self._stack.stripe_url}/c/pay/")
        return urlsplit(page).path.rpartition("/")[2]

    def pay(self, session_id: str, *, card: str = PAYS) -> int:
        """Pay on Stripe's side, without coming back to the site; return the HTTP status."""
        return self._stripe.pay(session_id, card=card)

    def come_back(self, session_id: str) -> str:
        """Open the return page as Stripe's redirect does, and return what it says."""
        page = self.http.get("/billing/return/", params={"session_id": session_id})
        assert page.status_code == 200, page
        return html.unescape(page.text)

    def orders_page(self) -> str:
        return html.unescape(self.http.get("/dashboard/orders/").text)

    def revoke_only_key(self) -> None:
        """Revoke the one key on the dashboard."""
        [address] = set(REVOKE.findall(self.http.get("/dashboard/keys/").text))
        done = self.submit(address)
        assert done.status_code == 302, done.text


def secret_on(page: str) -> str:
    """The new key that a page shows."""
    [secret] = SECRET.findall(page)
    return str(secret)
