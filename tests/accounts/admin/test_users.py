"""People at the desk: who may change what of whom."""

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests import desk

ADD = desk.list_url(User) + "add/"
NEW = {
    "email": "New@Example.com",
    "usable_password": "true",
    "password1": "correct horse battery",
    "password2": "correct horse battery",
}
POWER = {"is_active": "on", "is_staff": "on", "is_superuser": "on"}


def test_a_user_is_added_by_address(root: Client) -> None:
    root.post(ADD, NEW)

    user = User.objects.get(email="new@example.com")
    assert user.check_password("correct horse battery")
    assert not user.is_staff


def test_an_address_belongs_to_one_person(root: Client, alice: User) -> None:
    answer = root.post(ADD, {**NEW, "email": "ALICE@example.com"})

    assert "email" in answer.context["adminform"].form.errors
    assert User.objects.count() == 2


def test_a_superuser_makes_staff(root: Client, alice: User) -> None:
    root.post(desk.page_url(alice), {"is_active": "on", "is_staff": "on"})

    alice.refresh_from_db()
    assert alice.is_staff


def test_others_lock_people_out_and_give_no_power(carol: Client, alice: User) -> None:
    carol.post(desk.page_url(alice), {**POWER, "is_active": ""})

    alice.refresh_from_db()
    assert (alice.is_active, alice.is_staff, alice.is_superuser) == (False, False, False)


def test_others_do_not_touch_staff(carol: Client, root: Client) -> None:
    boss = desk.find_user("root@example.com")

    assert carol.post(desk.page_url(boss), POWER).status_code == 403
    assert carol.post(desk.page_url(desk.find_user("carol@example.com")), POWER).status_code == 403


@pytest.mark.parametrize("who", ["alice@example.com", "root@example.com"])
def test_others_set_no_passwords(who: str, carol: Client, root: Client, alice: User) -> None:
    url = reverse("admin:auth_user_password_change", args=[desk.find_user(who).pk])

    assert carol.get(url).status_code == 403
    assert carol.post(url, {"password1": "x" * 20, "password2": "x" * 20}).status_code == 403


def test_an_address_is_its_owners_to_change(root: Client, alice: User) -> None:
    root.post(desk.page_url(alice), {"is_active": "on", "email": "mallory@example.com"})

    alice.refresh_from_db()
    assert alice.email == "alice@example.com"


def test_nobody_verifies_an_address_for_another(root: Client, alice: User) -> None:
    address = EmailAddress.objects.create(user=alice, email=alice.email)

    assert root.get(desk.page_url(address)).status_code == 200
    assert root.post(desk.page_url(address), {"verified": "on"}).status_code == 403
    assert root.get(desk.list_url(EmailAddress) + "add/").status_code == 403


def test_a_page_leads_to_what_a_person_has(root: Client, alice: User) -> None:
    tools = root.get(desk.page_url(alice)).context["tools"]

    assert [tool.label for tool in tools] == ["Teams", "Wallet", "API keys", "Orders", "Usage"]
    for tool in tools:
        assert root.get(tool.url).status_code == 200


def test_the_record_of_the_desk_stays(root: Client, alice: User) -> None:
    root.post(desk.page_url(alice), {"is_active": ""})
    record = desk.last_record()

    assert root.get(desk.page_url(record)).status_code == 200
    assert root.post(desk.page_url(record, "delete"), {"post": "yes"}).status_code == 403
