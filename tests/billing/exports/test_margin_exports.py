"""Margins as files: by each grouping, in parts, the days and the sums of the page."""

import csv
import io
import zlib
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.exceptions import ExportRefused
from billing.exports.writing import start_export, write_exports
from billing.margin.reads import GROUPS
from billing.models import Export, ExportPart, UsageRecord
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from proxy.models import Probe
from tests import desk

pytestmark = pytest.mark.django_db(transaction=True)

MARGIN = "/admin/margin/"
TODAY = timezone.now().date()


def make_request(buyer: desk.Buyer, name: str, **fields: Any) -> None:
    """Put a receipt of now into the roll-ups."""
    record = desk.make_usage(buyer.wallet, buyer.key, request_id=name)
    UsageRecord.objects.filter(pk=record.pk).update(
        **{"ended_at": timezone.now(), "cost_nanos": 1, "income_micros": {}, **fields}
    )
    note_booked(UsageRecord.objects.filter(pk=record.pk), [])
    roll_up()


@pytest.fixture
def root(redis_wallets: object) -> User:
    return User.objects.create_superuser("root@shop.example")


@pytest.fixture
def buyers(root: User) -> list[desk.Buyer]:
    """Three customers: one sold for two currencies, one for nothing, one at a loss."""
    alice, bob, carol = (desk.make_customer(f"{n}@example.com") for n in ("alice", "bob", "carol"))
    make_request(alice, "r1", income_micros={"usd": 7, "eur": 9})
    make_request(alice, "r2", income_micros={"usd": 180_000}, provider_name="second")
    make_request(bob, "r3", cost_nanos=None)
    make_request(carol, "r4", cost_nanos=60_000_000, income_micros={"usd": 1})
    return [alice, bob, carol]


def start(browser: Client, by: str) -> Export:
    """Start an export from the page's own link."""
    url = browser.get(MARGIN, {"by": by, "days": "30"}).context["export_url"]
    answer = browser.post(url)
    return Export.objects.get(pk=int(answer["Location"].split("/")[-3]))


def read(export: Export) -> list[dict[str, str]]:
    parts = ExportPart.objects.filter(export=export).order_by("number")
    text = b"".join(zlib.decompress(part.content) for part in parts).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("by", GROUPS)
def test_a_file_adds_up_to_the_page(by: str, root: User, buyers: list[desk.Buyer]) -> None:
    browser = desk.log_in(root)
    total = browser.get(MARGIN, {"by": by, "days": "30"}).context["total"]
    export = start(browser, by)

    write_exports(chunk=1)

    rows = read(export)
    export.refresh_from_db()
    assert (export.state, export.rows_written) == ("ready", len(rows))
    assert sum(int(row["Requests"]) for row in rows) == total.requests == 4
    assert sum(Decimal(row["Income, USD"]) for row in rows) == total.income
    assert sum(Decimal(row["Cost, USD"]) for row in rows) == total.cost
    assert sum(Decimal(row["Margin, USD"]) for row in rows) == total.margin
    for currency, micros in total.sold_micros.items():
        column = f"Sold for, millionths of {currency.upper()}"
        assert sum(int(row[column]) for row in rows) == micros


@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("sort", ["", "cost", "-margin", "name"])
def test_a_file_is_in_the_order_of_the_page(
    by: str, sort: str, root: User, buyers: list[desk.Buyer]
) -> None:
    browser = desk.log_in(root)
    page = browser.get(MARGIN, {"by": by, "days": "30", "sort": sort})
    browser.post(page.context["export_url"])

    write_exports()

    names = [str(name) for name, _, _ in page.context["rows"]]
    assert [next(iter(row.values())) for row in read(Export.objects.get())] == names


def test_our_own_probes_come_last(root: User, buyers: list[desk.Buyer]) -> None:
    Probe.objects.create(provider_name="acme", model_name="idle", cost_nanos=5_000_000)
    browser = desk.log_in(root)
    exports = [start(browser, "provider"), start(browser, "customer")]

    write_exports()

    told = [next(iter(read(export)[-1].values())) for export in exports]
    assert told == ["Our probes: acme", "Our probes"]
    assert read(exports[0])[-1]["Margin, USD"] == "-0.005"


def test_each_customer_is_in_it_once_to_the_last_unit(root: User, buyers: list[desk.Buyer]) -> None:
    browser = desk.log_in(root)
    url = browser.get(MARGIN, {"by": "customer", "days": "30", "sort": "-name"})
    browser.post(url.context["export_url"])
    export = Export.objects.get()

    write_exports(chunk=1)

    carol, bob, alice = read(export)
    assert [row["Customer"] for row in (alice, bob, carol)] == [
        f"{name}@example.com" for name in ("alice", "bob", "carol")
    ]
    assert (alice["Income, USD"], alice["Cost, USD"]) == ("0.180007", "0.000000002")
    assert alice["Currencies without a rate"] == "eur"
    assert bob["Requests of unknown cost"] == "1"
    # A loss stays a number: no apostrophe is put before it.
    assert carol["Margin, USD"] == "-0.059999"


def test_a_spreadsheet_runs_no_name_of_a_key(root: User, buyers: list[desk.Buyer]) -> None:
    buyers[0].key.name = "=1+1"
    buyers[0].key.save()
    export = start(desk.log_in(root), "key")

    write_exports()

    assert [row for row in read(export) if row["API key"].startswith("'=1+1 (")]


def test_a_currency_that_comes_later_ends_it(root: User, buyers: list[desk.Buyer]) -> None:
    export = start(desk.log_in(root), "customer")
    make_request(buyers[0], "r5", income_micros={"gbp": 1})

    write_exports()

    export.refresh_from_db()
    assert (export.state, export.parts.count()) == ("failed", 0)
    assert "another currency" in export.problem


@pytest.mark.parametrize(
    "query",
    [
        *("", "since=2026-01-01", "since=x&until=y"),
        *("since=2026-01-02&until=2026-01-01", "since=2020-01-01&until=2026-01-01"),
    ],
)
def test_days_that_are_none_are_refused(query: str, root: User) -> None:
    address = "/admin/billing/export/start/"
    answer = desk.log_in(root).post(f"{address}?table=margin.day&query={query.replace('&', '%26')}")

    assert answer.status_code == 404
    assert not Export.objects.exists()


def test_whoever_sees_no_margin_exports_none(root: User) -> None:
    browser = desk.make_staff("erin@shop.example", "billing.add_export", "accounts.see_addresses")
    reader = desk.make_staff("fred@shop.example", "billing.view_margin")

    page = reader.get(MARGIN)

    assert page.context["export_url"] == ""
    with pytest.raises(ExportRefused):
        start_export(desk.find_user("erin@shop.example"), "margin.day", "")
    assert browser.get("/admin/billing/export/start/?table=margin.day").status_code == 403


def test_it_leads_back_to_the_page(root: User, buyers: list[desk.Buyer]) -> None:
    browser = desk.log_in(root)
    url = browser.get(MARGIN, {"by": "model", "days": "30"}).context["export_url"]

    back = urlsplit(browser.get(url).context["back"])

    asked = {"by": ["model"], "days": ["30"], "sort": ["-income"]}
    assert (back.path, parse_qs(back.query)) == (MARGIN, asked)
