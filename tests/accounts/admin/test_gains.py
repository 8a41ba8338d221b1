"""Who could get what by it: each right is weighed, and no chain of deeds gains more.

A right that a role holds has a row in `tests/desk_rights.py` that says what it lets somebody gain.
Then somebody of each role does all that the role may, twice over, with forms that also take what
they can, and owns no more than before.
"""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, Permission
from django.test import Client
from pytest_django import Settings

from accounts.desk.roles import ROLES, make_roles, rights_of
from accounts.models import ApiKey, User
from billing.models import Approval
from proxy.models import ProviderKey
from tests import desk
from tests.desk_rights import ACTIONS, GAINED, GAINS, OTHERS, PAGES, hire, is_in
from tests.desk_rows import PROVIDER_SECRET, WHY, Full, forms_of, make_everything

pytestmark = pytest.mark.timeout(600)

NAMES = [role.name for role in ROLES]
# Tables below the forms of other pages.
BELOW_FORMS = ("amountstep", "incidentupdate", "packprice", "provideraccount")
ELSEWHERE = "https://elsewhere.example/v1"


@pytest.fixture
def full(db: None, redis_wallets: object, settings: Settings) -> Full:
    make_roles()
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    return make_everything()


def test_every_right_of_a_role_is_weighed(db: None) -> None:
    held = {right for role in ROLES for right in rights_of(role)}
    to_see_rows = {right for right in held if is_of_a_page(right)}

    assert held - to_see_rows == GAINS.keys()


def is_of_a_page(right: str) -> bool:
    """Tell whether a right lets somebody see the rows of a page; names are masked there."""
    app, _, codename = right.partition(".")
    model = codename.removeprefix("view_")
    return codename != model and (f"{app}.{model}" in PAGES or model in BELOW_FORMS)


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_a_role_gains_what_its_rights_gain(role: Any, db: None) -> None:
    gained = {GAINS[right] for right in rights_of(role) if right in GAINS}

    assert gained == GAINED[role.name]


def powers() -> dict[str, Any]:
    """Return all that would be power over others, or over an account."""
    people = User.objects.order_by("pk")
    return {
        "people": list(people.values_list("pk", "email", "password", "is_staff", "is_superuser")),
        "rights of people": sorted(people.values_list("pk", "groups", "user_permissions")),
        "rights of groups": sorted(
            Group.objects.values_list("name", "permissions__codename"), key=str
        ),
        "addresses": list(EmailAddress.objects.order_by("pk").values()),
        "factors": list(Authenticator.objects.order_by("pk").values()),
        "keys": list(ApiKey.objects.order_by("pk").values_list("pk", "digest", "team")),
    }


def greedy(form: dict[str, Any]) -> dict[str, Any]:
    """Return a form with everything beside it that would be power, if a page took it."""
    everything = [each.pk for each in Permission.objects.all()]
    return {
        "is_staff": "on",
        "is_superuser": "on",
        "groups": [each.pk for each in Group.objects.all()],
        "user_permissions": everything,
        "permissions": everything,
        "password": "pbkdf2_sha256$1$x$x",
        "password1": "correct horse battery",
        "password2": "correct horse battery",
        "user": "1",
        "verified": "on",
        "primary": "on",
        "actor": "1",
        "asked_by": "1",
        "worth_credits": "0",
        **form,
    }


def posts_of(who: str, full: Full) -> list[tuple[str, dict[str, Any]]]:
    """Return every form that a role may send, and each address with a row that it may look at."""
    forms, found = forms_of(full), []
    for page, (_, *letters) in PAGES.items():
        base = f"/admin/{page.replace('.', '/')}/"
        pk = full.rows[page].pk
        for deed, who_may, url in zip(
            ("add", "change", "delete"),
            letters,
            ("add/", f"{pk}/change/", f"{pk}/delete/"),
            strict=True,
        ):
            if is_in(who, who_may):
                found.append((base + url, forms.get(f"{page} {deed}", {"post": "yes"})))
    for name, who_may in ACTIONS.items():
        page, _, action = name.partition(" ")
        if is_in(who, who_may):
            url = f"/admin/{page.replace('.', '/')}/do/{action}/?ids={full.row_of(name).pk}"
            found.append((url, {**WHY, **forms.get(name, {})}))
    # A host of one's own, with our key, and then a test of it.
    spare = full.rows["proxy.provider"]
    elsewhere = {**forms["proxy.provider change"], "base_url": ELSEWHERE}
    if is_in(who, PAGES["proxy.provider"][2]):
        found.insert(0, (desk.page_url(spare), elsewhere))
        found.append((desk.page_url(spare), elsewhere))
    return found


def looks_of(full: Full) -> list[str]:
    urls = [url for url, _ in OTHERS.values()] + ["/admin/", "/admin/margin/"]
    for page in PAGES:
        base = f"/admin/{page.replace('.', '/')}/"
        urls += [base, *(f"{base}{full.rows[page].pk}/{part}/" for part in ("change", "history"))]
    return urls


def secrets(full: Full) -> dict[str, str]:
    """Return what no page may show."""
    key = ProviderKey.objects.get(hint=PROVIDER_SECRET[-4:])
    found = {
        "a provider's key": PROVIDER_SECRET,
        "an encrypted key": bytes(key.encrypted_secret).decode(),
        "a key's digest": full.buyer.key.digest,
        "a second factor": "totp-canary",
        "an invitation's digest": "d" * 64,
        "the site's secret": django_settings.SECRET_KEY,
        "Stripe's secret": django_settings.STRIPE_SECRET_KEY,
        "a password": full.buyer.user.password,
    }
    assert all(found.values())
    return found


@pytest.mark.parametrize("who", NAMES)
def test_no_chain_of_deeds_gains_a_right_a_secret_or_an_account(who: str, full: Full) -> None:
    full.buyer.user.set_password("correct horse battery staple")
    full.buyer.user.save()
    browser, unseen = hire(who), secrets(full)
    me = User.objects.get(email=f"{who.lower()}@example.com")
    before, rights = powers(), me.get_all_permissions()
    told: list[str] = []

    def hear(url: str, answer: Any) -> None:
        text = b"".join(answer) if answer.streaming else answer.content
        told.extend(
            f"{what} at {url}" for what, secret in unseen.items() if secret.encode() in text
        )

    for _ in range(2):
        for url, form in posts_of(who, full):
            hear(url, browser.post(url, greedy(form), follow=True))
        for url in looks_of(full):
            hear(url, browser.get(url))

    assert told == []
    assert powers() == before
    assert User.objects.get(pk=me.pk).get_all_permissions() == rights
    keys = ProviderKey.objects.filter(hint=PROVIDER_SECRET[-4:]).select_related("provider")
    assert not [key for key in keys if key.provider.base_url == ELSEWHERE]
    assert not Approval.objects.filter(state="approved", asked_by=me).exists()


def test_a_role_with_a_right_to_groups_would_be_found_out(full: Full) -> None:
    """The walk itself is tried: somebody who is a superuser gains what it looks for."""
    root: Client = desk.log_in(User.objects.create_superuser("root@example.com"))
    before = powers()

    root.post(desk.page_url(full.buyer.user), greedy({"is_active": "on"}))

    assert powers() != before
