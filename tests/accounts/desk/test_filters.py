"""Filters beside a list of the desk."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests import desk

ORDERS = "/admin/billing/order/"


@pytest.fixture
def root(db: None) -> Client:
    cache.clear()
    return desk.log_in(User.objects.create_superuser("root@example.com"))


def test_a_columns_values_are_offered_and_not_asked_for_each_time(root: Client) -> None:
    desk.make_order(User.objects.create_user("alice@example.com"), currency="eur")

    page = root.get(ORDERS).content.decode()
    with CaptureQueriesContext(connection) as queries:
        root.get(ORDERS)

    assert "?currency=eur" in page
    assert "?pack_name=Small" in page
    assert not [q["sql"] for q in queries if "SELECT DISTINCT" in q["sql"]]
