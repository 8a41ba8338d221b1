"""Lists of receipts and entries, which are too many to be counted."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.desk.pages import FEW
from accounts.models import User
from billing.admin.usage import UsageRecordAdmin
from billing.models import LedgerEntry, UsageRecord
from tests import desk

USAGE, LEDGER = "/admin/billing/usagerecord/", "/admin/billing/ledgerentry/"
LOTS = "/admin/billing/lot/"


@pytest.fixture
def alice(db: None) -> desk.Buyer:
    return desk.make_customer("alice@example.com")


@pytest.fixture
def bob(db: None) -> desk.Buyer:
    return desk.make_customer("bob@example.com")


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))


def copy(record: UsageRecord, request_id: str, **fields: Any) -> UsageRecord:
    """Book the same again."""
    values = {field.attname: getattr(record, field.attname) for field in record._meta.fields}
    return UsageRecord.objects.create(**{**values, "id": None, "request_id": request_id, **fields})


def listed(root: Client, url: str, **query: Any) -> list[Any]:
    return list(root.get(url, query).context["cl"].result_list)


def test_it_pages_by_key_while_new_requests_arrive(
    alice: desk.Buyer, root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UsageRecordAdmin, "list_per_page", 2)
    records = [alice.record, *(copy(alice.record, f"r{number}") for number in range(4))]

    first = root.get(USAGE, {"outcome__exact": "completed"}).context["cl"]
    copy(alice.record, "newest")
    second = root.get(USAGE + first.older_url).context["cl"]
    third = root.get(USAGE + second.older_url).context["cl"]

    assert [*first.result_list, *second.result_list, *third.result_list] == records[::-1]
    assert "outcome__exact=completed" in second.older_url
    assert (first.newest_url, third.older_url) == ("", "")
    assert second.newest_url == "?outcome__exact=completed"


@pytest.mark.parametrize("url", [USAGE, LEDGER])
@pytest.mark.parametrize("query", [{}, {"q": "alice@example.com"}, {"older_than_days": "1"}])
def test_it_counts_and_sums_nothing(
    alice: desk.Buyer, root: Client, url: str, query: dict[str, str]
) -> None:
    with CaptureQueriesContext(connection) as asked:
        answer = root.get(url, query)

    assert answer.status_code == 200
    statements = [each["sql"] for each in asked.captured_queries]
    assert not [sql for sql in statements if "COUNT(" in sql or "DISTINCT" in sql or "MIN(" in sql]


@pytest.mark.parametrize("below", ["0", "-5", "9" * 30, "x"])
def test_an_odd_page_is_no_error(alice: desk.Buyer, root: Client, below: str) -> None:
    assert root.get(USAGE, {"p": below}).status_code == 200


def test_a_request_is_found_by_its_id(alice: desk.Buyer, bob: desk.Buyer, root: Client) -> None:
    assert listed(root, USAGE, q=f" {bob.record.request_id} ") == [bob.record]
    assert listed(root, USAGE, q=bob.record.request_id[:-1]) == []


def test_an_entry_and_its_lot_are_found_by_their_reference(alice: desk.Buyer, root: Client) -> None:
    entry = LedgerEntry.objects.get(kind="purchase")

    assert listed(root, LEDGER, q=entry.reference) == [entry]
    assert listed(root, LOTS, q=entry.reference) == [entry.lot]
    assert listed(root, LOTS, q=entry.reference[:-1]) == []


def test_lots_are_searched_by_reference_with_its_index(alice: desk.Buyer, root: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        root.get(LOTS, {"q": "nobody"})

    statements = [each["sql"] for each in asked.captured_queries if "nobody" in each["sql"]]
    assert [sql for sql in statements if "\"reference\" = 'nobody'" in sql]
    assert not [sql for sql in statements if "reference" in sql and "UPPER" in sql]


@pytest.mark.parametrize("term", ["bob@example.com", "BOB", "bob@"])
def test_customers_are_found_by_how_their_address_begins(
    alice: desk.Buyer, bob: desk.Buyer, root: Client, term: str
) -> None:
    assert listed(root, USAGE, q=term) == [bob.record]
    assert listed(root, LEDGER, q=term) == list(bob.wallet.entries.all())


@pytest.mark.parametrize("term", ["%", "_ob", "nobody@example.com", "\\", "''"])
def test_a_term_that_nothing_has_finds_nothing(bob: desk.Buyer, root: Client, term: str) -> None:
    assert listed(root, USAGE, q=term) == []


def test_it_says_if_more_customers_match_than_are_searched(root: Client, db: None) -> None:
    for number in range(FEW + 1):
        desk.make_customer(f"c{number:02}@example.com")

    answer = root.get(USAGE, {"q": "c"})

    assert len(answer.context["cl"].result_list) == FEW
    assert f"Only the first {FEW} customers" in answer.content.decode()


def test_it_jumps_to_rows_of_an_age(alice: desk.Buyer, root: Client) -> None:
    ages = (40, 8, 0)
    UsageRecord.objects.update(ended_at=timezone.now() - timedelta(days=ages[0]))
    for days in ages[1:]:
        copy(alice.record, f"r{days}", ended_at=timezone.now() - timedelta(days=days))

    counts = {
        days: len(listed(root, USAGE, older_than_days=days)) for days in ("1", "7", "30", "90", "x")
    }

    assert counts == {"1": 2, "7": 2, "30": 1, "90": 0, "x": 3}


# Of the short lists, whoever types another part of an address still finds it.
@pytest.mark.parametrize(
    ("model", "by_part"), [("order", 0), ("wallet", 0), ("lot", 0), ("debit", 1)]
)
def test_other_lists_find_people_by_how_their_address_begins(
    alice: desk.Buyer, bob: desk.Buyer, root: Client, model: str, by_part: int
) -> None:
    url = f"/admin/billing/{model}/"

    assert len(listed(root, url, q="bob@example")) == 1
    assert len(listed(root, url, q="ob@example")) == by_part


@pytest.mark.parametrize("url", ["/admin/billing/lot/", "/admin/billing/order/"])
def test_a_list_of_many_rows_offers_no_order_and_no_count_that_reads_them_all(
    url: str, root: Client, alice: desk.Buyer
) -> None:
    page = root.get(url)

    linked = page.content.decode()
    assert "_facets" not in linked
    assert page.context["cl"].sortable_by == ("id",)


def test_keys_are_listed_in_the_order_of_an_index(root: Client, alice: desk.Buyer) -> None:
    with CaptureQueriesContext(connection) as queries:
        root.get("/admin/accounts/apikey/")

    [rows] = [q["sql"] for q in queries if '"accounts_apikey"."hint"' in q["sql"]]
    assert 'ORDER BY "accounts_apikey"."id" DESC' in rows
