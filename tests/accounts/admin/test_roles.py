"""Who of the staff may do what: every page and action of the desk × every role that is shipped.

The rows are compared with the desk's own address patterns and actions: a page, an action or an
address without a row fails. The table is in `tests/desk_rights.py`; `test_matrix.py` asks the same
with rows that exist.
"""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.urls import URLPattern, reverse
from psycopg.sql import SQL, Identifier

from accounts.desk.actions import StaffActionsAdmin
from accounts.desk.rights import label_of, say
from accounts.desk.roles import ROLES, make_roles, rights_of
from accounts.models import User
from tests import desk
from tests.desk_rights import (
    ACTIONS,
    DJANGOS,
    OF_THE_SITE,
    OTHERS,
    PAGES,
    STANDARD,
    WHO,
    hire,
    is_in,
)

REFUSED = 403
each_role = pytest.mark.parametrize("who", WHO)


@pytest.fixture
def roles(db: None) -> None:
    make_roles()


def page_names() -> set[str]:
    return {model._meta.label_lower for model in admin.site._registry}


def action_names() -> set[str]:
    return {
        f"{model._meta.label_lower} {action.name}"
        for model, page in admin.site._registry.items()
        if isinstance(page, StaffActionsAdmin)
        for action in page.staff_actions
    }


def other_names() -> set[str]:
    names = {
        pattern.name or str(pattern.pattern)
        for page in admin.site._registry.values()
        for pattern in page.get_urls()
        if isinstance(pattern, URLPattern)
    }
    standard = {
        f"{model._meta.label_lower.replace('.', '_')}_{page}"
        for model in admin.site._registry
        for page in STANDARD
    }
    # The last pattern of Django's leads old addresses to the page of change.
    return names - standard - {"<path:object_id>/"}


def test_every_page_action_and_address_has_a_row() -> None:
    assert page_names() == set(PAGES)
    assert action_names() == set(ACTIONS)
    assert other_names() == set(OTHERS)
    # The last pattern answers what is nobody's address.
    assert site_names() - DJANGOS - {"(?P<url>.*)$"} == set(OF_THE_SITE)


def site_names() -> set[str]:
    return {
        pattern.name or str(pattern.pattern)
        for pattern in admin.site.get_urls()
        if isinstance(pattern, URLPattern)
    }


def deeds() -> Iterator[tuple[str, str, str, str]]:
    """Give each deed as its name, method, address, and who may do it."""
    for page, (see, add, change, delete) in PAGES.items():
        base = f"/admin/{page.replace('.', '/')}/"
        yield f"{page} see", "get", base, see
        yield f"{page} see one", "get", f"{base}0/change/", see
        yield f"{page} add", "post", f"{base}add/", add
        yield f"{page} change", "post", f"{base}0/change/", change
        yield f"{page} delete", "post", f"{base}0/delete/", delete
    for name, letters in ACTIONS.items():
        page, _, action = name.partition(" ")
        address = f"/admin/{page.replace('.', '/')}/do/{action}/?ids=0"
        yield name, "post", address, letters
        yield f"{name} (look)", "get", address, letters
    for name, (address, letters) in OTHERS.items():
        yield name, "get", address, letters
    for name, (method, address, letters) in OF_THE_SITE.items():
        yield name, method, address, letters


@each_role
def test_each_role_may_what_its_row_says(who: str, roles: None) -> None:
    browser = hire(who)

    wrong = [
        f"{who} {name}: {status}"
        for name, method, address, letters in deeds()
        if ((status := getattr(browser, method)(address).status_code) != REFUSED)
        != is_in(who, letters)
    ]

    assert not wrong


@each_role
def test_a_refused_deed_changes_nothing(who: str, roles: None) -> None:
    desk.make_customer("alice@example.com")
    browser, before = hire(who), count_rows()

    for _, method, address, letters in deeds():
        if method == "post" and not is_in(who, letters):
            browser.post(address, {"reason": "x", "credits": "5", "name": "x", "post": "yes"})

    assert count_rows() == before


def count_rows() -> dict[str, int]:
    counts = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table)))
            counts[table] = cursor.fetchone()[0]
    return counts


def test_every_right_of_a_role_exists(roles: None) -> None:
    known = {label_of(each) for each in Permission.objects.select_related("content_type")}

    assert {right for role in ROLES for right in rights_of(role)} <= known


def test_roles_are_made_anew_as_they_are_shipped(roles: None) -> None:
    support = Group.objects.get(name="Support")
    support.permissions.add(Permission.objects.get(codename="add_ledgerentry"))

    make_roles()

    rights = {label_of(each) for each in support.permissions.select_related("content_type")}
    assert rights == set(ROLES[0].rights)
    assert Group.objects.filter(name__in=[role.name for role in ROLES]).count() == len(ROLES)


SELLING = ("_pack", "_packprice", "_amountoffer", "_amountstep")


def test_no_role_gives_rights_or_sells(roles: None) -> None:
    rights = {right for role in ROLES for right in rights_of(role) if "view" not in right}

    assert not {right for right in rights if right.startswith(("auth.", "account.", "mfa."))}
    assert "accounts.add_user" not in rights
    assert not {right for right in rights if right.endswith(SELLING)}


def test_an_auditor_changes_nothing(roles: None) -> None:
    granted = set(rights_of(ROLES[-1]))

    assert {right for right in granted if ".view_" not in right} == {
        "accounts.see_addresses",
        "billing.add_export",
    }


def test_roles_are_told_in_words(roles: None) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    group = Group.objects.get(name="Finance")

    page = root.get(desk.page_url(group)).content.decode()

    assert "Grant, adjust and credit" in page
    assert "Refund orders" in page
    assert "add_ledgerentry" not in page


def test_a_shipped_role_is_not_edited(roles: None) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    group = Group.objects.get(name="Support")

    assert root.post(desk.page_url(group), {"name": "Mine"}).status_code == REFUSED
    assert root.post(desk.page_url(group, "delete"), {"post": "yes"}).status_code == REFUSED


@pytest.mark.parametrize(
    ("codename", "words"),
    [
        ("view_lot", "See lots"),
        ("ask_stripe", "Ask Stripe again about orders"),
        ("change_wallet", "Freeze and unfreeze wallets, and set their limits"),
    ],
)
def test_rights_have_words(codename: str, words: str, db: None) -> None:
    assert say(Permission.objects.get(codename=codename)) == words


ASKED_AGAIN = [
    ("get", "/admin/billing/wallet/do/grant/?ids={wallet}"),
    ("post", "/admin/billing/wallet/do/grant/?ids={wallet}"),
    ("post", "/admin/billing/wallet/do/adjust/?ids={wallet}"),
    ("get", "/admin/billing/wallet/do/change-address/?ids={wallet}"),
    ("post", "/admin/billing/wallet/do/change-address/?ids={wallet}"),
    ("post", "/admin/billing/order/do/refund/?ids={order}"),
    ("post", "/admin/billing/order/do/refund-unused/?ids={order}"),
    ("post", "/admin/billing/order/do/credit/?ids={order}"),
    ("post", "/admin/accounts/apikey/do/limit/?ids={key}"),
    ("get", "/admin/billing/codebatch/add/"),
    ("post", "/admin/billing/codebatch/add/"),
    ("post", "/admin/accounts/user/{user}/password/"),
]


@pytest.mark.parametrize(("method", "address"), ASKED_AGAIN)
def test_money_keys_and_rights_ask_for_the_password(method: str, address: str, roles: None) -> None:
    alice = desk.make_customer("alice@example.com")
    root, before = away_for_long(), count_rows()
    address = address.format(
        wallet=alice.wallet.pk, order=alice.order.pk, key=alice.key.pk, user=alice.user.pk
    )

    answer = getattr(root, method)(address, {"reason": "x", "credits": "5", "amount_credits": "5"})

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert count_rows() == {**before, "django_session": before["django_session"]}


def test_a_form_of_power_is_kept_until_the_password_is_entered(roles: None) -> None:
    alice = User.objects.create_user("alice@example.com")
    root = away_for_long()

    answer = root.post(desk.page_url(alice), {"is_active": "on", "is_staff": "on"})

    alice.refresh_from_db()
    assert not alice.is_staff
    assert b"Enter your password" in answer.content


def away_for_long() -> Client:
    """Return the browser of a superuser who entered the password hours ago."""
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com", "correct horse battery"))
    return client
