"""The years, months and days above a list of the desk."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from accounts.models import User
from tests import desk

USERS = "/admin/accounts/user/"


@pytest.fixture
def root(db: None) -> Client:
    """The owner's browser, beside people who joined in two years; the owner did in the second."""
    owner = User.objects.create_superuser(
        "root@example.com", date_joined=datetime(2026, 3, 5, tzinfo=UTC)
    )
    for name, at in (
        ("alice", datetime(2025, 11, 30, 12, tzinfo=UTC)),
        ("bob", datetime(2026, 3, 2, 12, tzinfo=UTC)),
    ):
        User.objects.create_user(f"{name}@example.com", date_joined=at)
    return desk.log_in(owner)


def links_of(root: Client, **chosen: int) -> list[str]:
    """Return the parts of the navigation above the list of users."""
    page = root.get(USERS, chosen).content.decode()
    [nav] = re.findall(r'<nav class="toplinks".*?</nav>', page, re.DOTALL)
    return re.findall(r"<a.*?</a>", nav, re.DOTALL) or [nav]


def offered(root: Client, **chosen: int) -> list[str]:
    return [strip_tags(link).strip() for link in links_of(root, **chosen)]


def test_a_list_offers_years_then_months_then_days(root: Client) -> None:
    year, month, day = ("date_joined__year", "date_joined__month", "date_joined__day")

    assert offered(root) == ["2025", "2026"]
    assert offered(root, **{year: 2025}) == ["‹ All dates", "November 2025", "December 2025"]
    assert offered(root, **{year: 2026, month: 3}) == [
        "‹ 2026",
        *(f"{number} Mar" for number in range(1, 6)),
    ]
    assert offered(root, **{year: 2026, month: 3, day: 2}) == ["‹ March 2026"]


def test_each_choice_leads_to_its_rows_and_keeps_the_filters(root: Client) -> None:
    *_, this_year = links_of(root, is_active__exact=1)
    [query] = re.findall(r'href="([^"]+)"', this_year)

    rows = root.get(USERS + unescape(query)).context["cl"].result_list

    assert "is_active__exact=1" in query
    assert {row.email for row in rows} == {"bob@example.com", "root@example.com"}


def test_what_began_this_month_offers_its_days(root: Client) -> None:
    User.objects.filter(email="alice@example.com").update(
        date_joined=datetime(2026, 3, 4, tzinfo=UTC)
    )

    assert offered(root) == ["‹ 2026", "2 Mar", "3 Mar", "4 Mar", "5 Mar"]


def test_no_row_is_asked_for_its_day(root: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        root.get(USERS, {"date_joined__year": 2026})

    assert not [q["sql"] for q in queries if "DISTINCT" in q["sql"] and "date_joined" in q["sql"]]


@pytest.mark.parametrize("chosen", ["x", "0", "20260"])
def test_a_year_that_is_none_leads_back_to_all(chosen: str, root: Client) -> None:
    answer = root.get(USERS, {"date_joined__year": chosen})

    assert answer.status_code == 302
    assert answer["Location"] == f"{USERS}?e=1"


def test_a_list_without_rows_offers_neither_dates_nor_actions(root: Client) -> None:
    page = root.get("/admin/billing/order/").content.decode()

    assert 'class="toplinks"' not in page
    assert 'name="action"' not in page
