"""Lists of the desk as files: written in parts, by whichever worker, for who may read them."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import CharField, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone
from pytest_django import Settings

from accounts.desk.roles import make_roles
from accounts.models import AuditLine, User
from billing.exceptions import ExportRefused
from billing.exports.lists import LISTS
from billing.exports.writing import MOST_OPEN, start_export, stop_export, write_exports
from billing.models import Export, ExportPart, LedgerEntry, Notice, Order
from billing.upkeep.retention import delete_old
from tests import desk
from tests.desk_rows import make_everything
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = "billing.order"
START = "/admin/billing/export/start/?table=billing.order&query="


@pytest.fixture
def hire(redis_wallets: object) -> Callable[..., User]:
    """Return how somebody gets a role: `hire("Finance")`."""
    make_roles()

    def make(role: str, name: str = "") -> User:
        user = User.objects.create_user(f"{name or role.lower()}@shop.example", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def finance(hire: Callable[..., User]) -> User:
    return hire("Finance")


@pytest.fixture
def orders(finance: User) -> list[Order]:
    """Five orders of Alice's, the names of whose packs a spreadsheet would run."""
    alice = User.objects.create_user("alice@example.com")
    made = [
        desk.make_order(alice, stripe_session_id=f"cs_{n}", amount_cents=n) for n in range(1, 6)
    ]
    Order.objects.update(pack_name=Concat(Value("=1+"), Cast("amount_cents", CharField())))
    return made


def download(user: User, export: Export) -> Any:
    return desk.log_in(user).get(f"/admin/billing/export/{export.pk}/file/")


async def collect(answer: Any) -> bytes:
    return b"".join([part async for part in answer.streaming_content])


def read(user: User, export: Export) -> list[dict[str, str]]:
    content = async_to_sync(collect)(download(user, export))
    text = content.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_a_list_becomes_a_file_with_its_filters(finance: User, orders: list[Order]) -> None:
    Order.objects.filter(pk=orders[0].pk).update(status="open", fulfilled_at=None)
    browser = desk.log_in(finance)
    listed = browser.get("/admin/billing/order/?status__exact=fulfilled&o=1").content.decode()
    assert "query=status__exact%3Dfulfilled" in listed

    answer = browser.post(f"{START}status__exact%3Dfulfilled")
    write_exports()

    export = Export.objects.get()
    assert answer["Location"] == f"/admin/billing/export/{export.pk}/change/"
    rows = read(finance, export)
    assert [row["id"] for row in rows] == [str(order.pk) for order in orders[:0:-1]]
    assert {row["Customer"] for row in rows} == {"alice@example.com"}
    assert rows[0]["pack_name"] == "'=1+5"
    assert "stripe_session_url" not in rows[0]
    assert (export.state, export.percent, export.rows_written) == ("ready", 100, 4)
    deeds = AuditLine.objects.filter(actor=finance).order_by("pk").values_list("deed", flat=True)
    assert list(deeds) == ["Export started", "Export downloaded"]
    assert Notice.objects.get(kind="export_ready").user == finance


def test_rows_of_later_are_not_in_it(finance: User, orders: list[Order]) -> None:
    export = start_export(finance, ORDERS, "")
    desk.make_order(User.objects.get(email="alice@example.com"), stripe_session_id="cs_late")

    write_exports(chunk=2)

    assert len(read(finance, export)) == 5


class Death(Exception):
    """A worker dies."""


@pytest.mark.parametrize("statement", ['INTO "billing_exportpart"', 'UPDATE "billing_export"'])
def test_another_worker_goes_on_where_one_died(
    finance: User, orders: list[Order], statement: str
) -> None:
    export = start_export(finance, ORDERS, "")
    seen = []

    def die_at_the_second(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if statement in sql:
            seen.append(sql)
            if len(seen) == 2:
                raise Death
        return execute(sql, params, many, context)

    with connection.execute_wrapper(die_at_the_second), pytest.raises(Death):
        write_exports(chunk=2)
    assert ExportPart.objects.count() == 1
    export.refresh_from_db()
    assert (export.state, export.rows_written) == ("writing", 2)
    assert 0 < export.percent < 100

    write_exports(chunk=2)

    ids = [int(row["id"]) for row in read(finance, export)]
    assert ids == sorted((order.pk for order in orders), reverse=True)


def test_two_workers_write_no_row_twice(finance: User, orders: list[Order]) -> None:
    export = start_export(finance, ORDERS, "")

    race([lambda: write_exports(chunk=1)] * 2, meet_at='SELECT "billing_export"')
    write_exports(chunk=1)

    assert len(read(finance, export)) == 5


def test_one_that_is_stopped_leaves_nothing(finance: User, orders: list[Order]) -> None:
    export = start_export(finance, ORDERS, "")
    browser = desk.log_in(finance)

    browser.post(desk.do_url("stop", export), {"reason": "Too long"})

    assert write_exports() == 0
    assert (Export.objects.get().state, ExportPart.objects.count()) == ("stopped", 0)
    assert stop_export(export) is False
    assert download(finance, export).status_code == 404


def test_one_that_is_too_long_ends(finance: User, orders: list[Order], settings: Settings) -> None:
    settings.EXPORT_MEGABYTES = 0
    export = start_export(finance, ORDERS, "")

    write_exports()

    export.refresh_from_db()
    assert (export.state, ExportPart.objects.count()) == ("failed", 0)
    assert "choose fewer rows" in export.problem
    assert not Notice.objects.filter(kind="export_ready").exists()


def test_who_may_read_it(finance: User, orders: list[Order], hire: Callable[..., User]) -> None:
    export = start_export(finance, ORDERS, "")
    write_exports()
    others = {
        role: download(hire(role, f"other-{role.lower()}"), export).status_code
        for role in ("Finance", "Operations", "Support", "Auditor")
    }

    assert others == {"Finance": 404, "Operations": 404, "Support": 403, "Auditor": 200}
    finance.groups.set([Group.objects.get(name="Support")])
    assert download(finance, export).status_code == 403


def test_an_auditor_exports_what_they_see_and_it_is_recorded(
    orders: list[Order], hire: Callable[..., User]
) -> None:
    auditor = hire("Auditor")
    browser = desk.log_in(auditor)

    browser.post(START)
    write_exports()

    export = Export.objects.get(asked_by=auditor)
    assert len(read(auditor, export)) == len(orders)
    deeds = AuditLine.objects.filter(actor=auditor).order_by("pk")
    assert list(deeds.values_list("deed", flat=True)) == ["Export started", "Export downloaded"]


def test_rights_that_are_lost_end_it(finance: User, orders: list[Order]) -> None:
    export = start_export(finance, ORDERS, "")
    finance.groups.clear()

    write_exports()

    export.refresh_from_db()
    assert (export.state, ExportPart.objects.count()) == ("failed", 0)


def test_it_is_refused(finance: User, orders: list[Order], hire: Callable[..., User]) -> None:
    for table, query in (("accounts.user", ""), ("nonsense", ""), (ORDERS, "q=" + "x" * 2_000)):
        with pytest.raises(ExportRefused):
            start_export(finance, table, query)
    with pytest.raises(ExportRefused):
        start_export(hire("Support"), ORDERS, "")
    for _ in range(MOST_OPEN):
        start_export(finance, ORDERS, "")
    with pytest.raises(ExportRefused, match="being written"):
        start_export(finance, ORDERS, "")

    browser = desk.log_in(finance)
    assert browser.post("/admin/billing/export/start/?table=accounts.user").status_code == 403
    assert browser.post(f"{START}status__nonsense%3D1").status_code == 404
    assert Export.objects.count() == MOST_OPEN


@pytest.mark.parametrize("sees_margin", [True, False])
def test_what_was_paid_for_credits_is_for_who_sees_margins(
    sees_margin: bool, orders: list[Order]
) -> None:
    desk.make_customer("bob@example.com")
    rights = ["billing.view_ledgerentry", "accounts.see_addresses", "billing.add_export"]
    rights += ["billing.change_export", *(["billing.view_margin"] if sees_margin else [])]
    desk.make_staff("erin@shop.example", *rights)
    erin = User.objects.get(email="erin@shop.example")
    export = start_export(erin, "billing.ledgerentry", "")

    write_exports()

    (row,) = read(erin, export)
    assert row["amount_credits"] == str(LedgerEntry.objects.get().amount_credits)
    assert ("sold_for" in row) is sees_margin


def test_it_goes_after_some_days(finance: User, orders: list[Order]) -> None:
    export = start_export(finance, ORDERS, "")
    write_exports()
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert download(finance, export).status_code == 403
    delete_old()

    assert (Export.objects.count(), ExportPart.objects.count()) == (0, 0)


def test_every_list_becomes_a_file(root: User) -> None:
    full = make_everything()
    lists = {source.name for source in LISTS}

    files = {}
    for name in sorted(lists):
        page = desk.log_in(root).get(desk.list_url(type(full.rows[name]))).content.decode()
        export = start_export(root, name, "")
        write_exports()
        files[name] = read(root, export)
        assert f"export/start/?table={name}" in page, name

    assert all(files.values())
    ids = {name: {row["id"] for row in rows} for name, rows in files.items()}
    assert all(str(full.rows[name].pk) in ids[name] for name in lists)
    assert files["billing.refund"][0]["Currency"] == "usd"


def test_a_trail_is_exported_in_words(root: User) -> None:
    alice = desk.make_customer("alice@example.com")
    desk.log_in(root).post(desk.do_url("freeze", alice.wallet), {"reason": "=1+1"})
    export = start_export(root, "accounts.auditline", "q=Freeze")

    write_exports()

    line = next(row for row in read(root, export) if row["model"] == "billing.wallet")
    assert (line["Who"], line["deed"]) == ("root@shop.example", "Freeze")
    assert "alice@example.com" in line["What"]
    assert "Reason: =1+1" in line["In words"]
    assert "said" not in line


def test_whoever_sees_no_trail_exports_none(finance: User) -> None:
    with pytest.raises(ExportRefused):
        start_export(finance, "accounts.auditline", "")


@pytest.fixture
def root(redis_wallets: object) -> User:
    return User.objects.create_superuser("root@shop.example")
