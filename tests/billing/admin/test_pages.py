"""Every page of the desk: it renders, it asks the database little, and money can't be edited."""

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import ApiKey, User
from billing.models import (
    Debit,
    InboxItem,
    LedgerEntry,
    Lot,
    ModelPrice,
    Order,
    Pack,
    PublicModel,
    StripeEvent,
    UsageRecord,
    Wallet,
)
from proxy.models import Provider, Route
from tests import desk

MONEY = [
    ApiKey,
    Debit,
    InboxItem,
    LedgerEntry,
    Lot,
    ModelPrice,
    Order,
    StripeEvent,
    UsageRecord,
    Wallet,
]
EDITABLE = [Pack, PublicModel, Provider, Route, User]
# What one list may ask: session, user, the limit of its time in a savepoint, count, rows, dates,
# and what its filters offer.
MOST_QUERIES = 15

each_table_of_money = pytest.mark.parametrize("model", MONEY, ids=lambda model: model.__name__)
each_table = pytest.mark.parametrize("model", MONEY + EDITABLE, ids=lambda model: model.__name__)


@pytest.fixture
def full_desk(alice: desk.Buyer) -> None:
    """One row or more of everything."""
    desk.make_event()
    desk.make_inbox_item()
    desk.make_provider()


def first_row(model: type[Model]) -> Model:
    return model._default_manager.all()[0]


def test_every_table_is_at_the_desk() -> None:
    assert {*MONEY, *EDITABLE} <= set(admin.site._registry)


@each_table
def test_it_lists_the_rows(model: type[Model], root: Client, full_desk: None) -> None:
    page = root.get(desk.list_url(model))

    assert page.status_code == 200
    assert page.context["cl"].result_count >= 1


@each_table
def test_it_shows_each_row(model: type[Model], root: Client, full_desk: None) -> None:
    for row in model._default_manager.all():
        assert root.get(desk.page_url(row)).status_code == 200
        assert root.get(desk.page_url(row, "history")).status_code == 200


@each_table
def test_it_searches_for_anything(model: type[Model], root: Client, full_desk: None) -> None:
    for text in ("alice", "cs_test_1", "12", "a b", "%", "é", "9" * 30):
        assert root.get(desk.list_url(model), {"q": text}).status_code == 200


@each_table_of_money
def test_nobody_adds_a_row_of_money(model: type[Model], root: Client, full_desk: None) -> None:
    url = desk.list_url(model) + "add/"

    assert root.get(url).status_code == 403
    assert root.post(url, {}).status_code == 403


@each_table_of_money
def test_nobody_changes_a_row_of_money(model: type[Model], root: Client, full_desk: None) -> None:
    row = first_row(model)
    before = model._default_manager.values().get(pk=row.pk)

    answer = root.post(desk.page_url(row), {"posted_credits": "1", "amount_credits": "1"})

    assert answer.status_code == 403
    assert model._default_manager.values().get(pk=row.pk) == before


@pytest.mark.parametrize("model", [*MONEY, User], ids=lambda model: model.__name__)
def test_nobody_deletes_a_row_of_money(model: type[Model], root: Client, full_desk: None) -> None:
    row = first_row(model)
    url = desk.page_url(row, "delete")

    assert root.get(url).status_code == 403
    assert root.post(url, {"post": "yes"}).status_code == 403
    assert b"deletelink" not in root.get(desk.page_url(row)).content


@each_table
def test_nothing_is_deleted_in_bulk(model: type[Model], root: Client, full_desk: None) -> None:
    row = first_row(model)

    root.post(
        desk.list_url(model),
        {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"},
    )

    assert model._default_manager.filter(pk=row.pk).exists()
    assert b"delete_selected" not in root.get(desk.list_url(model)).content


@each_table
def test_a_longer_list_asks_no_more(
    model: type[Model],
    root: Client,
    full_desk: None,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    fill_desk("bob", "carol", "dave")
    with django_assert_max_num_queries(MOST_QUERIES) as few:
        root.get(desk.list_url(model))
    asked = len(few)

    fill_desk("erin", "frank", "grace", "heidi")
    with django_assert_max_num_queries(asked):
        root.get(desk.list_url(model))


def fill_desk(*names: str) -> None:
    for name in names:
        desk.make_customer(f"{name}@example.com")
        desk.make_event(f"evt_{name}")
        desk.make_inbox_item(name)
        desk.make_provider(name)
        desk.make_model(name)
        Pack.objects.create(name=name, slug=name, credits=10, price_cents=100)


@each_table
def test_staff_without_a_permission_sees_nothing(model: type[Model], full_desk: None) -> None:
    carol = desk.make_staff("carol@example.com")
    row = first_row(model)

    assert carol.get(desk.list_url(model)).status_code == 403
    assert carol.get(desk.page_url(row)).status_code == 403


def test_a_customer_is_not_let_in(alice: desk.Buyer) -> None:
    browser = desk.log_in(alice.user)

    assert browser.get(reverse("admin:index"), follow=True).status_code == 403


def test_the_digest_of_a_key_is_nowhere(root: Client, alice: desk.Buyer) -> None:
    page = root.get(desk.page_url(alice.key)).content.decode()
    listed = root.get(desk.list_url(ApiKey)).content.decode()

    assert alice.key.hint in page
    assert alice.key.digest not in page + listed


def test_instants_read_as_on_the_sites_own_pages(root: Client, alice: desk.Buyer) -> None:
    page = root.get(desk.page_url(alice.record)).content.decode()

    assert "2 Mar 2026, 12:00" in page
