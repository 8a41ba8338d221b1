"""A member of staff with every permission gains nothing more: no power, and nobody's account.

Erin has all permissions and is no superuser. Root is one, and Frank a colleague of Erin.
"""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.models import LegalText, User
from billing.models import AmountOffer, ExchangeRate, Pack, Promotion, PublicModel
from proxy.models import Incident, Provider, Route
from tests import desk

# What a permission lets staff edit in a form. Everything else changes through actions, or not at
# all; a page that comes with a package is not in here until somebody has thought about it.
EDITABLE: set[type[Model]] = {
    AmountOffer,
    ExchangeRate,
    Incident,
    LegalText,
    Pack,
    Promotion,
    Provider,
    PublicModel,
    Route,
    User,
}


@pytest.fixture
def erin(db: None) -> User:
    user = User.objects.create_user("erin@example.com", "correct horse", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    user.groups.add(Group.objects.create(name="Helpers"))
    return user


@pytest.fixture
def browser(erin: User) -> Client:
    return desk.log_in(erin)


@pytest.fixture
def frank(db: None) -> User:
    user = User.objects.create_user("frank@example.com", "correct horse", is_staff=True)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return user


@pytest.fixture
def boss(db: None) -> User:
    """Return a superuser who does not work at the desk, so that nothing but the power shows."""
    user = User.objects.create_user("root@example.com", "correct horse", is_superuser=True)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return user


def test_permissions_are_for_these_pages_alone(erin: User) -> None:
    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=erin.pk)

    changed = {
        model for model, page in admin.site._registry.items() if page.has_change_permission(request)
    }
    deleted = {
        model for model, page in admin.site._registry.items() if page.has_delete_permission(request)
    }

    assert changed == EDITABLE
    assert deleted == EDITABLE - {ExchangeRate, LegalText, User}


def test_nobody_gives_a_group_power(browser: Client, erin: User) -> None:
    before = Group.objects.count()
    group, everything = Group.objects.get(name="Helpers"), [p.pk for p in Permission.objects.all()]
    data = {"name": "Helpers", "permissions": everything}

    answers = [
        browser.post(desk.page_url(group), data),
        browser.post(desk.list_url(Group) + "add/", {**data, "name": "Mine"}),
        browser.post(desk.page_url(group, "delete"), {"post": "yes"}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert not group.permissions.exists()
    assert Group.objects.count() == before


def test_a_superuser_gives_a_group_power(db: None) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    group = Group.objects.create(name="Helpers")
    view = Permission.objects.get(codename="view_wallet")

    root.post(desk.page_url(group), {"name": "Helpers", "permissions": [view.pk]})

    assert list(group.permissions.all()) == [view]


def attack(user: User) -> dict[str, Any]:
    """Return a page of a person that takes everything it can."""
    return {
        "email": "erin@example.net",
        "password": "pbkdf2_sha256$1$x$x",
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
        "groups": [group.pk for group in Group.objects.all()],
        "user_permissions": [permission.pk for permission in Permission.objects.all()],
    }


@pytest.mark.parametrize("who", ["erin@example.com", "frank@example.com", "root@example.com"])
def test_nobody_changes_who_has_power(browser: Client, frank: User, boss: User, who: str) -> None:
    user = User.objects.get(email=who)
    before = User.objects.values().get(pk=user.pk)

    page = browser.post(desk.page_url(user), attack(user))
    locked = browser.post(desk.page_url(user), {"is_active": ""})
    password = browser.post(
        reverse("admin:auth_user_password_change", args=[user.pk]),
        {"password1": "correct horse battery", "password2": "correct horse battery"},
    )

    assert [answer.status_code for answer in (page, locked, password)] == [403, 403, 403]
    after = User.objects.values().get(pk=user.pk)
    assert {**after, "last_login": None} == {**before, "last_login": None}


def test_a_customer_is_given_no_power(browser: Client, db: None) -> None:
    alice = User.objects.create_user("alice@example.com", "correct horse")

    browser.post(desk.page_url(alice), attack(alice))

    alice.refresh_from_db()
    assert (alice.email, alice.is_staff, alice.is_superuser) == ("alice@example.com", False, False)
    assert alice.check_password("correct horse")
    assert not alice.groups.exists()
    assert not alice.user_permissions.exists()


def test_a_new_person_has_no_power(browser: Client) -> None:
    password = "correct horse battery"
    given = {"usable_password": "true", "password1": password, "password2": password}

    browser.post(
        desk.list_url(User) + "add/",
        {**given, "email": "mine@example.com", "is_staff": "on", "is_superuser": "on"},
    )

    mine = User.objects.get(email="mine@example.com")
    assert (mine.is_staff, mine.is_superuser) == (False, False)


@pytest.mark.parametrize("who", ["frank@example.com", "root@example.com"])
def test_nobody_gives_another_an_address(
    browser: Client, frank: User, boss: User, who: str
) -> None:
    # A verified address of one's own on their account would reset their password.
    address = EmailAddress.objects.get(email=who)
    data = {"user": address.user_id, "email": "mine@example.com", "verified": "on"}

    answers = [
        browser.post(desk.page_url(address), data),
        browser.post(desk.page_url(address, "delete"), {"post": "yes"}),
        browser.post(desk.list_url(EmailAddress) + "add/", data),
        browser.post(
            desk.list_url(EmailAddress),
            {"action": "make_verified", "_selected_action": [address.pk]},
        ),
    ]

    assert [answer.status_code for answer in answers[:3]] == [403, 403, 403]
    assert list(EmailAddress.objects.filter(user=address.user_id)) == [address]
    address.refresh_from_db()
    assert address.email == who
