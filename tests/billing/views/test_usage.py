"""The usage table and the receipts behind it."""

import csv
import html
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.test import Client
from django.utils.html import strip_tags
from pytest_django import DjangoAssertNumQueries

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.ledger.loads import load_wallets
from billing.ledger.receipts import explain
from billing.ledger.usage import read_usage_page
from billing.ledger.wallets import wallet_of
from tests.billing.views.conftest import HTMX, NOON, MakeUsage

LINK = re.compile(r"/dashboard/usage/(req_\d+)/")


@pytest.fixture(autouse=True)
def soon_after() -> Iterator[None]:
    """An hour after the requests that `use` books."""
    cache.clear()
    with time_machine.travel(NOON + timedelta(hours=1), tick=False):
        yield


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
    as_alice: Client,
    alices_key: ApiKey,
    use: MakeUsage,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(20):
        use(f"req_{number}")

    # Of a wallet that is in Redis, the balance needs no query.
    load_wallets([alices_key.team.wallet.pk])
    as_alice.get("/dashboard/usage/")

    # Session, user, seat, the names of models, how many are in the team, wallet, which days have
    # sums, chart, records; the reader's teams, the header's wallet, whether the address is
    # confirmed, keys to choose.
    with django_assert_num_queries(13):
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


def test_it_draws_each_group_with_its_share(alice: User, as_alice: Client, use: MakeUsage) -> None:
    """1,328 of key one and 2 × 1,328 of the other: 33 % and 67 %."""
    other, _ = issue_api_key(own_seat(alice), name="Other")
    use("req_1")
    use("req_2", api_key=other)
    use("req_3", api_key=other)

    page = as_alice.get("/dashboard/usage/", {"by": "key"}).content.decode()
    key = re.search(r'<ul class="chart-key".*?</ul>', page, re.DOTALL)

    assert key is not None
    assert re.findall(r"<bdi[^>]*>([^<]+)</bdi>", key[0]) == ["Other", "Alice&#x27;s laptop"]
    assert re.findall(r">([\d,]+%?)</span>", key[0]) == ["2,656", "67%", "1,328", "33%"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"outcome": "broken"}, ["req_2"]),
        ({"outcome": "parked"}, ["req_3"]),
        ({"request_id": "req_1"}, ["req_1"]),
        ({"least_credits": "1329"}, ["req_2"]),
        ({"most_credits": "1328"}, ["req_3", "req_1"]),
        ({"since": "2026-03-02", "until": "2026-03-02"}, ["req_3", "req_2", "req_1"]),
        ({"since": "2026-02-20", "until": "2026-03-01"}, []),
        ({"until": "2026-02-01"}, ["req_old"]),
        ({"period": "24h"}, ["req_3", "req_2", "req_1"]),
        ({"period": "1y"}, ["req_3", "req_2", "req_1", "req_old"]),
    ],
)
def test_it_filters_the_list_and_adds_it_up(
    as_alice: Client, use: MakeUsage, query: dict[str, str], found: list[str]
) -> None:
    use("req_0", ended_at=NOON - timedelta(days=500))
    use("req_old", ended_at=NOON - timedelta(days=40))
    use("req_1")
    use("req_2", outcome="broken", target_credits=1_500, charged_credits=1_500)
    use("req_3", source="parked")

    page = as_alice.get("/dashboard/usage/", query).content.decode()

    assert re.findall(r"/dashboard/usage/(req_\w+)/", page) == found
    if found:
        assert f"<strong>{len(found)}</strong> request" in page


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-03-05", "until": "2026-03-01"},
        {"since": "1999-01-01"},
        {"until": "2999-01-01"},
        {"since": "yesterday"},
        {"step": "hour", "period": "90d"},
        {"step": "minute"},
        {"period": "2y"},
        {"by": "provider"},
        {"figure": "cost"},
        {"least_credits": "2", "most_credits": "1"},
        {"least_credits": "-1"},
        {"outcome": "free"},
    ],
)
def test_it_says_what_does_not_fit(as_alice: Client, use: MakeUsage, query: dict[str, str]) -> None:
    use("req_1")

    answer = as_alice.get("/dashboard/usage/", query)

    assert answer.status_code == 400
    assert "That filter isn" in answer.content.decode()


def test_a_line_says_what_is_filtered(as_alice: Client, use: MakeUsage, alices_key: ApiKey) -> None:
    use("req_1")

    everything = as_alice.get("/dashboard/usage/?period=90d").content.decode()
    chosen = as_alice.get(
        "/dashboard/usage/",
        {"key": str(alices_key.pk), "by": "key", "since": "2026-03-01", "least_credits": "1,000"},
        headers=HTMX,
    ).content.decode()

    assert "chosen-filters" not in everything
    line = " ".join(html.unescape(strip_tags(chosen.split("</p>")[0])).split())
    assert line == (
        f"Group by: API key API key: {alices_key} From: 1 Mar 2026 Charged at least: 1,000"
        " Clear filters"
    )


def test_days_are_those_of_the_reader(alice: User, as_alice: Client, use: MakeUsage) -> None:
    """12:00 UTC on the 2nd is 01:00 on the 3rd in Auckland, as the browser says, not in Berlin."""
    use("req_1")
    as_alice.cookies["time_zone"] = "Pacific/Auckland"
    only_the_second = {"since": "2026-03-02", "until": "2026-03-02"}

    guessed = as_alice.get("/dashboard/usage/", only_the_second).content.decode()
    as_alice.post("/dashboard/settings/profile/", {"time_zone": "Europe/Berlin"})
    chosen = as_alice.get("/dashboard/usage/", only_the_second).content.decode()

    assert "req_1" not in guessed
    assert "req_1" in chosen
    assert "2 Mar, 13:00:02" in chosen


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../../etc/passwd", "<script>"])
def test_a_zone_that_is_none_is_refused_and_a_browsers_is_ignored(
    alice: User, as_alice: Client, use: MakeUsage, zone: str
) -> None:
    use("req_1")
    as_alice.cookies["time_zone"] = zone

    page = as_alice.get("/dashboard/usage/").content.decode()
    answer = as_alice.post("/dashboard/settings/profile/", {"time_zone": zone})

    assert "Times are in UTC" in page
    assert answer.status_code == 400
    alice.refresh_from_db()
    assert alice.time_zone == ""


def test_the_file_has_what_the_page_lists(as_alice: Client, use: MakeUsage) -> None:
    use("req_1", first_byte_ms=250, is_stream=True)
    use("req_2", outcome="broken")
    use("req_3", model_name="=1+1")

    rows = download(as_alice.get("/dashboard/usage.csv"))
    broken = download(as_alice.get("/dashboard/usage.csv", {"outcome": "broken"}))

    assert [row["Request"] for row in rows] == ["req_3", "req_2", "req_1"]
    assert rows[0]["Model"] == "'=1+1"
    assert (rows[2]["First byte (ms)"], rows[2]["Took (ms)"]) == ("250", "2000")
    assert [row["Charged (credits)"] for row in rows] == ["1328", "1328", "1328"]
    assert [row["Request"] for row in broken] == ["req_2"]


def test_the_file_is_written_in_chunks_that_leave_nothing_out(
    as_alice: Client, use: MakeUsage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.ledger.usage.CHUNK", 2)
    for number in range(5):
        use(f"req_{number}")

    rows = download(as_alice.get("/dashboard/usage.csv"))

    assert [row["Request"] for row in rows] == [f"req_{number}" for number in range(4, -1, -1)]


def test_bobs_file_has_nothing_of_alices(
    as_bob: Client, alices_key: ApiKey, use: MakeUsage
) -> None:
    use("req_1")

    assert download(as_bob.get("/dashboard/usage.csv")) == []
    assert as_bob.get("/dashboard/usage.csv", {"key": alices_key.pk}).status_code == 400


def test_the_speed_of_a_stream_is_that_after_its_first_byte(use: MakeUsage) -> None:
    """318 tokens in 2 s are 159 a second, and in the 1.5 s after the first byte 212."""
    whole = use("req_1")
    stream = use("req_2", first_byte_ms=500, is_stream=True)
    instant = use("req_3", ended_at=NOON)

    assert whole.tokens_per_second == 159
    assert stream.tokens_per_second == 212
    assert instant.tokens_per_second is None


def download(answer: Any) -> list[dict[str, str]]:
    """Return the rows of a table that was streamed."""

    async def collect() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    text = async_to_sync(collect)().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))
