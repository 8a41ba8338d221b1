"""Whatever is typed into a form of the site is answered by it, and nothing is half done."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.models import Order, Webhook, WebhookDelivery
from tests.accounts.form_values import FORMS, VISITORS
from tests.conftest import signed_in
from tests.desk import make_delivery, make_order

VALUES = {
    "empty": "",
    "long": "x" * 5_000,
    "long address": f"{'x' * 64}@{'y' * 63}.{'z' * 63}.{'w' * 66}.com",
    "longest address and one": f"{'x' * 64}@{'y' * 63}.{'z' * 63}.{'w' * 58}.com",
    "NUL": "a\x00b",
    "NUL in an address": "a\x00b@example.com",
    "emoji": "🦜🦜@🦜.com",
    "right to left": "\u202egro.elpmaxe@live",
    "surrogate": "\ud800@example.com",
    "taken": "bob@example.com",
    "taken in another case": "BOB@EXAMPLE.COM",
    "markup": "<script>alert(1)</script>",
    "number": "9" * 400,
}
# A new customer may choose any password, and whatever page to go on with.
ALSO_RIGHT = {("/accounts/signup/", "password1"), ("/accounts/signup/", "next")}
CASES = [(page, field) for page, right in FORMS.items() for field in right]


@pytest.fixture(autouse=True)
def no_limits(db: None) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def places(alice: User, bob: User, settings: Settings) -> dict[str, str]:
    settings.AUTO_TOP_UP = True
    key, _ = issue_api_key(own_seat(alice), name="Laptop")
    # The paths below have the key's id for every number.
    delivery = make_delivery(own_seat(alice))
    WebhookDelivery.objects.all().delete()
    Webhook.objects.filter(pk=delivery.webhook_id).update(id=key.pk)
    delivery.pk = delivery.webhook_id = key.pk
    delivery.save(force_insert=True)
    return {
        "key": str(key.pk),
        "order": str(make_order(alice).public_id),
        "seat": str(own_seat(alice).pk),
    }


def state() -> tuple[Any, ...]:
    """Return what a form may change, but a key's own name and limits."""
    return (
        list(User.objects.order_by("pk").values_list("pk", "email")),
        list(EmailAddress.objects.exclude(verified=False, primary=False).values_list("email")),
        list(Order.objects.values_list("pk", "status")),
    )


@pytest.mark.parametrize(("page", "field"), CASES)
def test_a_form_answers_any_value(
    alice: User, places: dict[str, str], page: str, field: str
) -> None:
    path = page.format(**places)
    before = state()
    client = Client() if page in VISITORS else signed_in(alice)

    for name, value in VALUES.items():
        cache.clear()
        # The test's client would send bytes as a list of numbers.
        typed = urlencode({**FORMS[page], field: value.encode("utf-8", "surrogatepass")})
        answer = client.post(path, typed, content_type="application/x-www-form-urlencoded")

        assert answer.status_code in {200, 302, 400, 404, 409}, (name, answer.status_code)
        assert b"<script>alert(1)" not in answer.content, name
        assert not re.match(r"//|[a-z]+:", answer.get("Location", "/")), name
    if (page, field) not in ALSO_RIGHT:
        assert state() == before
    assert all(len(key.name) <= 60 for key in ApiKey.objects.all())


@pytest.mark.parametrize("value", ["\x00", "9" * 400, "\ud800", "x" * 3_000])
@pytest.mark.parametrize(
    "path",
    [
        "/accounts/login/?next={}",
        "/accounts/signup/?email={}",
        "/accounts/confirm-email/{}/",
        "/accounts/password/reset/key/{}-{}/",
        "/dashboard/usage/?model={}&key={}&before={}",
        "/dashboard/usage/?since={}&until={}&step={}&period={}",
        "/dashboard/usage/?by={}&figure={}&outcome={}&request_id={}",
        "/dashboard/usage/?least_credits={}&most_credits={}&member={}",
        "/dashboard/usage.csv?since={}&request_id={}&key={}",
        "/dashboard/usage/{}/",
        "/pause/{}/",
        "/status/confirm/{}/",
        "/status/unsubscribe/{}/",
        "/dashboard/team/events/?person={}&action={}&before={}",
        "/dashboard/team/events.csv?person={}&action={}&before={}",
        "/invitations/{}/",
        "/dashboard/statements/{}.csv",
        "/models/?q={}&can={}&price={}&provider={}",
        "/packs/?currency={}&amount={}",
        "/billing/checkout-amount/?currency={}&amount={}",
        "/billing/return/?session_id={}",
        "/dashboard/top-up/saved/?session_id={}",
        "/accounts/2fa/webauthn/keys/{}/edit/",
    ],
)
def test_an_address_answers_any_value(alice: User, path: str, value: str) -> None:
    typed = quote(value.encode("utf-8", "surrogatepass"))

    answer = signed_in(alice).get(path.format(typed, typed, typed, typed))

    assert answer.status_code in {200, 302, 400, 404}


# Stripe signs what it sends.
SIGNED = {"/billing/stripe/webhook"}


def test_every_form_wants_its_own_pages_mark(alice: User, places: dict[str, str]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    tried = 0

    for path in sorted(paths(places)):
        answer = client.post(path, {})
        if answer.status_code not in {404, 405} and path not in SIGNED:
            tried += 1
            assert answer.status_code == 403, path

    assert tried > 40


class Fields(HTMLParser):
    """Finds what can be typed into a page: the address that it is sent to, and its name."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.action = path, ""
        self.found: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            is_sent = (given.get("method") or "").lower() == "post"
            action = (given.get("action") or self.path).partition("?")[0]
            self.action = (action or self.path) if is_sent else ""
        elif tag in {"input", "select", "textarea"} and self.action and given.get("name"):
            self.found.add((self.action, str(given["name"])))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.action = ""


def test_every_field_of_every_form_is_tried(alice: User, places: dict[str, str]) -> None:
    tried = {(page.format(**places), field) for page, right in FORMS.items() for field in right}
    shown: set[tuple[str, str]] = set()

    for client in (Client(), signed_in(alice)):
        for path in sorted(paths(places) - {"/favicon.ico"}):
            page = client.get(path, follow=True)
            if page.streaming and not getattr(page, "is_async", False):
                # The client closes it at its end.
                b"".join(page)
            if page.headers.get("Content-Type", "").startswith("text/html"):
                fields = Fields(page.request["PATH_INFO"])
                fields.feed(page.content.decode())
                shown |= fields.found

    typed = {each for each in shown if each[1] != "csrfmiddlewaretoken"}
    assert len(typed) > 40
    assert sorted(typed - tried) == []


def paths(places: dict[str, str]) -> set[str]:
    """Return every path of the site, with the ids of what Alice has."""
    values = {"int": places["key"], "uuid": places["order"], "slug": "starter", "str": "2026-11"}
    found = set()
    for prefix, pattern in walk(get_resolver(), ""):
        route = prefix + str(pattern.pattern)
        for kind, value in values.items():
            while f"<{kind}:" in route:
                start = route.index(f"<{kind}:")
                route = route[:start] + value + route[route.index(">", start) + 1 :]
        if "<" not in route and "(" not in route and not route.startswith(("admin", "^")):
            found.add(f"/{route}")
    return found


def walk(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for each in resolver.url_patterns:
        if isinstance(each, URLPattern):
            yield prefix, each
        else:
            yield from walk(each, prefix + str(each.pattern))
