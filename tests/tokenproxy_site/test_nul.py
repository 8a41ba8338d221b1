"""No address, query or cookie with a NUL reaches the database."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss@example.com", password="x"))
    return client


def patterns(resolver: Any, before: str = "") -> Iterator[str]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            yield from patterns(each, before + str(each.pattern))
        elif isinstance(each, URLPattern) and each.pattern.converters:
            yield before + str(each.pattern)


def test_every_address_with_a_name_in_it_refuses_a_nul(staff: Client) -> None:
    found = list(patterns(get_resolver()))
    paths = {"/" + one.split("<")[0].lstrip("^") + "%00/" for one in found}

    assert len(paths) > 20
    for path in sorted(paths):
        assert staff.get(path).status_code == 400, path


def test_every_list_of_the_desk_refuses_a_nul(staff: Client) -> None:
    lists = [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    ]

    assert len(lists) > 10
    for path in lists:
        for query in ("q=%00", "user__email=%00", "o=%00", "%00=1"):
            assert staff.get(f"{path}?{query}").status_code == 400, path


@pytest.mark.parametrize("name", ["sessionid", "csrftoken", "messages", "x"])
def test_a_cookie_with_a_nul_is_refused(client: Client, name: str) -> None:
    # A quoted value spells a NUL in octal.
    response = client.get("/", headers={"cookie": f'{name}="a\\000b"'})

    assert response.status_code == 400


def test_a_form_refuses_a_nul(staff: Client) -> None:
    answers = [
        staff.post("/dashboard/keys/", {"name": "a\0b"}),
        staff.post("/redeem/", {"code": "a\0b"}),
        Client().post("/accounts/login/", {"login": "a\0@b.c", "password": "\0"}),
        Client().post("/accounts/signup/", {"email": "a\0@b.c", "password1": "\0"}),
        staff.post("/packs/small/", {"currency": "\0"}),
        staff.post("/checkout/small/", {"currency": "\0"}),
        staff.post("/admin/accounts/user/", {"action": "\0", "_selected_action": "\0"}),
    ]

    assert [one.status_code for one in answers if one.status_code >= 500] == []
