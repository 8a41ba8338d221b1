"""The usage table and the receipts behind it."""

import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.ledger.receipts import explain
from billing.ledger.usage import read_usage_page
from billing.ledger.wallets import wallet_of
from tests.billing.views.conftest import HTMX, MakeUsage

LINK = re.compile(r"/dashboard/usage/(req_\d+)/")


def test_it_lists_the_newest_first_and_pages_by_cursor(as_alice: Client, use: MakeUsage) -> None:
    for number in range(30):
        use(f"req_{number}")

    first = as_alice.get("/dashboard/usage/").content.decode()
    older = re.search(r'href="(\?before=\d+)"', first)
    assert older is not None
    second = as_alice.get(f"/dashboard/usage/{older[1]}").content.decode()

    assert LINK.findall(first) == [f"req_{number}" for number in range(29, 4, -1)]
    assert LINK.findall(second) == [f"req_{number}" for number in range(4, -1, -1)]
    assert "Older" not in second


def test_a_page_stays_the_same_while_new_requests_arrive(alice: User, use: MakeUsage) -> None:
    for number in range(4):
        use(f"req_{number}")
    first = read_usage_page(wallet_of(alice), size=2)
    use("req_new")

    second = read_usage_page(wallet_of(alice), before=first.next_before, size=2)

    assert [record.request_id for record in second.records] == ["req_1", "req_0"]
    assert second.next_before is None


def test_it_filters_by_key_and_keeps_the_filter_on_the_next_page(
    alice: User, as_alice: Client, use: MakeUsage
) -> None:
    other, _ = issue_api_key(own_seat(alice), name="Other")
    for number in range(26):
        use(f"req_{number}", api_key=other)
    use("req_99")

    page = as_alice.get("/dashboard/usage/", {"key": other.pk}).content.decode()

    assert "req_99" not in page
    assert len(LINK.findall(page)) == 25
    assert f'href="?key={other.pk}&amp;before=' in page


def test_it_filters_by_model(as_alice: Client, use: MakeUsage) -> None:
    use("req_1")
    use("req_2", model_name="gpt-gone")

    page = as_alice.get("/dashboard/usage/", {"model": "gpt-4"}).content.decode()

    assert LINK.findall(page) == ["req_1"]


@pytest.mark.parametrize(
    "query",
    [
        {"key": "999999"},
        {"key": "x"},
        {"model": "no-such"},
        {"before": "0"},
        {"before": "x"},
        {"before": "9" * 30},
    ],
)
def test_it_refuses_a_filter_that_makes_no_sense(
    as_alice: Client, use: MakeUsage, query: dict[str, str]
) -> None:
    use("req_1")

    answer = as_alice.get("/dashboard/usage/", query)

    assert answer.status_code == 400
    assert LINK.findall(answer.content.decode()) == []


def test_it_gives_htmx_the_table_alone(as_alice: Client, use: MakeUsage) -> None:
    use("req_1")

    part = as_alice.get("/dashboard/usage/", headers=HTMX).content.decode()

    assert "<html" not in part
    assert LINK.findall(part) == ["req_1"]


def test_it_asks_the_database_no_more_for_many_rows_than_for_one(
    as_alice: Client, use: MakeUsage, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        use(f"req_{number}")

    # Session, user, seat, the reader's teams, whether the address is confirmed, wallet, records;
    # keys, models and members of the filter.
    with django_assert_num_queries(10):
        as_alice.get("/dashboard/usage/")


def test_bob_can_neither_list_nor_filter_nor_open_what_is_alices(
    as_bob: Client, alices_key: ApiKey, use: MakeUsage
) -> None:
    use("req_1")

    listed = as_bob.get("/dashboard/usage/").content.decode()
    filtered = as_bob.get("/dashboard/usage/", {"key": alices_key.pk})
    opened = as_bob.get("/dashboard/usage/req_1/")

    assert "req_1" not in listed
    assert alices_key.name not in listed
    assert filtered.status_code == 400
    assert opened.status_code == 404


def test_a_receipt_adds_up(as_alice: Client, use: MakeUsage) -> None:
    """180 × 1 + 1,024 × 0.5 + 318 × 2 = 180 + 512 + 636 = 1,328, and 9,422 − 1,328 = 8,094."""
    record = use("req_1")

    receipt = explain(record)
    page = as_alice.get("/dashboard/usage/req_1/").content.decode()

    assert [line.amount_millicredits for line in receipt.lines] == [180_000, 512_000, 636_000]
    assert receipt.cost_credits == 1_328
    assert receipt.released_credits == 8_094
    for text in ("180 × 1", "1,024 × 0.5", "318 × 2", "1,328 credits", "9,422", "8,094"):
        assert text in page


def test_a_receipt_shows_that_it_was_rounded_up(as_alice: Client, use: MakeUsage) -> None:
    """1 cached token at 0.5 and 1 completion token at 2 make 2.5, charged 3."""
    use(
        "req_1",
        prompt_tokens=1,
        cached_tokens=1,
        completion_tokens=1,
        target_credits=3,
        charged_credits=3,
    )

    page = as_alice.get("/dashboard/usage/req_1/").content.decode()

    assert "Sum 2.5, rounded up" in page
    assert "3 credits" in page


def test_a_receipt_shows_what_we_bear(as_alice: Client, use: MakeUsage) -> None:
    use("req_1", held_credits=1_000, charged_credits=1_100, write_off_credits=228)

    page = as_alice.get("/dashboard/usage/req_1/").content.decode()

    assert "−228" in page
    assert "1,100 credits" in page


def test_a_receipt_under_review_shows_what_was_not_asked_for(
    as_alice: Client, use: MakeUsage
) -> None:
    use("req_1", source="parked", held_credits=500, target_credits=500, charged_credits=500)

    page = as_alice.get("/dashboard/usage/req_1/").content.decode()

    assert "−828" in page
    assert "Under review" in page


@pytest.mark.parametrize(
    ("outcome", "source", "words"),
    [
        ("completed", "reported", "The whole answer was delivered"),
        ("client_left", "estimated", "Your program closed the connection"),
        ("client_left", "reported", "You pay for what the model had used"),
        ("broken", "estimated", "provider broke off"),
        ("abandoned", "estimated", "interrupted on our side"),
        ("completed", "estimated", "counted by us"),
    ],
)
def test_a_receipt_says_how_the_request_ended(
    as_alice: Client, use: MakeUsage, outcome: str, source: str, words: str
) -> None:
    use("req_1", outcome=outcome, source=source)

    page = as_alice.get("/dashboard/usage/req_1/").content.decode()

    assert words in page


def test_a_receipt_names_no_provider(as_alice: Client, use: MakeUsage) -> None:
    use("req_1", provider_name="secret-upstream")

    page = as_alice.get("/dashboard/usage/req_1/").content.decode()

    assert "secret-upstream" not in page


def test_there_is_no_receipt_of_a_request_that_never_was(as_alice: Client) -> None:
    assert as_alice.get("/dashboard/usage/req_9/").status_code == 404
    assert as_alice.get("/dashboard/usage/a%00b/").status_code == 400
