"""Lists of the desk show what Django's admin would, in a third of its time."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.templatetags.admin_list import items_for_result
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.test import RequestFactory
from django.urls import resolve

from accounts.desk.paging import BriefPaginator
from accounts.desk.roles import make_roles
from accounts.desk.rows import rows_of
from accounts.models import User
from tests import desk
from tests.desk_rows import make_everything

pytestmark = pytest.mark.django_db
ODD = '<b>"Ä & Ö"</b>'


@pytest.fixture
def full(redis_wallets: object) -> None:
    make_roles()
    make_everything()


def lists(query: str) -> dict[str, ChangeList]:
    """Return each list as a superuser sees it."""
    staff = User.objects.get_or_create(email="root@staff.example", is_superuser=True)[0]
    found = {}
    for model, page in admin.site._registry.items():
        request = RequestFactory().get(f"{desk.list_url(model)}{query}")
        request.user, request.resolver_match = staff, resolve(desk.list_url(model))
        found[model._meta.label_lower] = page.get_changelist_instance(request)
    return found


@pytest.mark.parametrize("query", ["", "?q="], ids=["whole", "searched"])
def test_each_row_is_what_django_writes(query: str, full: None) -> None:
    User.objects.create_user("odd@example.com").groups.create(name=ODD)
    shown = lists(query)

    written = {name: list(rows_of(each)) for name, each in shown.items()}

    assert written == {
        name: ["".join(items_for_result(each, row, None)) for row in each.result_list]
        for name, each in shown.items()
    }
    # Who is mailed of incidents is shown to whoever knows the address.
    assert [name for name, rows in written.items() if not rows] == ["billing.statussubscription"]
    assert any("&lt;b&gt;&quot;Ä" in row for row in written["auth.group"])


def test_a_box_of_a_row_is_what_django_writes(full: None) -> None:
    group = User.objects.create_user("odd@example.com").groups.create(name=ODD)
    page: Any = admin.site._registry[type(group)]

    written = page.action_checkbox(group)

    assert written == str(admin.ModelAdmin.action_checkbox(page, group)).strip()


def test_a_list_leads_to_its_rows_and_they_lead_back(full: None) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    user = User.objects.get(email="alice@example.com")

    page = root.get(f"{desk.list_url(User)}?q=alice%40example.com").content.decode()

    kept = "?_changelist_filters=q%3Dalice%2540example.com"
    assert f'<a href="{desk.page_url(user)}{kept}">alice@example.com</a>' in page
    shown = root.get(f"{desk.page_url(user)}{kept}").content.decode()
    assert f'{desk.page_url(user, "history")}{kept}"' in shown


@pytest.mark.parametrize("order", ["email", "-date_joined"])
def test_a_page_has_the_rows_that_django_would_give_it(order: str) -> None:
    for number in range(7):
        User.objects.create_user(f"{number}@example.com")
    people = User.objects.order_by(order).select_related("own_team")

    for number in (1, 2, 3):
        brief, whole = BriefPaginator(people, 3).page(number), Paginator(people, 3).page(number)
        assert list(brief) == list(whole)
        assert (brief.number, brief.has_next()) == (whole.number, whole.has_next())


def test_a_list_without_rows_asks_for_none(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert list(BriefPaginator(User.objects.order_by("email"), 3).page(1)) == []
