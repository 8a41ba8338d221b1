"""Whatever is typed into a form of the site is answered by it, and nothing is half done."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.models import Order
from tests.accounts.sign_up import PASSWORD
from tests.conftest import signed_in
from tests.desk import make_order

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
# Each form's page, and what is right in it.
FORMS: dict[str, dict[str, str]] = {
    "/accounts/signup/": {"email": "dora@example.com", "password1": PASSWORD},
    "/accounts/login/": {"login": "alice@example.com", "password": "wrong"},
    "/accounts/password/reset/": {"email": "alice@example.com"},
    "/accounts/password/change/": {
        "oldpassword": "wrong",
        "password1": "another one 77",
        "password2": "another one 77",
    },
    "/accounts/reauthenticate/": {"password": "wrong"},
    "/accounts/email/": {"email": "new@example.com", "action_add": ""},
    "/accounts/2fa/totp/activate/": {"code": "000000"},
    "/accounts/2fa/webauthn/add/": {"name": "Key", "credential": "{}"},
    "/accounts/sessions/": {"session": "1"},
    "/dashboard/keys/new/": {
        "name": "Laptop",
        "lifetime": "never",
        "requests_per_minute": "",
        "lifetime_cap_credits": "",
        "allowed_models": "",
        "allowed_networks": "",
    },
    "/dashboard/keys/{key}/": {"name": "Laptop", "allowed_networks": "", "allowed_models": ""},
    "/dashboard/keys/{key}/rotate/": {"overlap": "24"},
    "/dashboard/redeem/": {"code": "ABCD"},
    "/dashboard/settings/notifications/": {"low_balance_credits": "100"},
    "/dashboard/settings/delete/": {"email": "nobody@example.com"},
    "/dashboard/orders/{order}/refund/": {"key": "x"},
    "/billing/checkout/nothing/": {"currency": "usd"},
}
VISITORS = ("/accounts/signup/", "/accounts/login/", "/accounts/password/reset/")
CASES = [(page, field) for page, right in FORMS.items() for field in right]


@pytest.fixture(autouse=True)
def no_limits(db: None) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def places(alice: User, bob: User) -> dict[str, str]:
    key, _ = issue_api_key(own_seat(alice), name="Laptop")
    return {"key": str(key.pk), "order": str(make_order(alice).public_id)}


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
        typed = {**FORMS[page], field: value.encode("utf-8", "surrogatepass")}
        answer = client.post(path, typed)

        assert answer.status_code in {200, 302, 400, 404, 409}, (name, answer.status_code)
        assert b"<script>alert(1)" not in answer.content, name
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
        "/dashboard/usage/{}/",
        "/dashboard/statements/{}.csv",
        "/models/?q={}",
        "/billing/return/?session_id={}",
        "/dashboard/top-up/saved/?session_id={}",
        "/accounts/2fa/webauthn/keys/{}/edit/",
    ],
)
def test_an_address_answers_any_value(alice: User, path: str, value: str) -> None:
    typed = quote(value.encode("utf-8", "surrogatepass"))

    answer = signed_in(alice).get(path.format(typed, typed, typed))

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


@pytest.mark.parametrize("method", ["get", "post"])
def test_no_page_shows_or_changes_what_is_another_customers(
    alice: User, bob: User, places: dict[str, str], method: str
) -> None:
    key_before = ApiKey.objects.values().get()
    client = signed_in(bob)
    theirs = [path for path in paths(places) if any(place in path for place in marked(places))]
    assert len(theirs) >= 7

    answers = {path: getattr(client, method)(path) for path in theirs}

    shown = [path for path, answer in answers.items() if answer.status_code not in {404, 405}]
    assert shown == []
    assert ApiKey.objects.values().get() == key_before


def marked(places: dict[str, str]) -> list[str]:
    return [f"/keys/{places['key']}/", f"/orders/{places['order']}/", "/cancelled/"]


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
