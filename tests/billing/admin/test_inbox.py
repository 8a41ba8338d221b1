"""The inbox: every kind says what to do, shows what is known as links, and has its buttons."""

import ast
from pathlib import Path

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from billing.admin.inbox_advice import ADVICE
from billing.ledger.inbox import URGENT, file_item
from billing.margin.alarms import FALLING, NEGATIVE, UNKNOWN
from billing.models import InboxItem
from billing.notices.findings import mail_findings
from tests import desk

ROOT = Path(__file__).parents[3]
APPS = ("accounts", "billing", "proxy", "tokenproxy_site")
FILERS = {"file_item", "InboxItem", "Alarm"}


def kinds_filed() -> set[str]:
    """Return every kind of finding that the product files, from its source."""
    found: set[str] = set()
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            if "migrations" not in path.parts:
                found |= kinds_in(ast.parse(path.read_text()))
    return found


def kinds_in(tree: ast.AST) -> set[str]:
    return {
        keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in FILERS
        for keyword in node.keywords
        if keyword.arg == "kind"
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, str)
    }


def test_every_kind_says_what_to_do() -> None:
    # Filed by a constant.
    named = {"dispute", "fraud_warning", "key_write_offs", NEGATIVE, FALLING, UNKNOWN}
    named |= {"provider_account_failing", "provider_balance_low"}
    assert kinds_filed() | named == ADVICE.keys()
    assert ADVICE.keys() >= URGENT


@pytest.mark.parametrize("kind", sorted({*ADVICE, "something_new"}))
def test_every_kind_has_a_page_whose_buttons_lead_somewhere(
    root: Client, alice: desk.Buyer, kind: str
) -> None:
    detail = {
        "wallet": alice.wallet.pk,
        "api_key": alice.key.pk,
        "team": alice.wallet.team_id,
        "user": alice.user.pk,
        "request": alice.record.request_id,
        "event": desk.make_event().pk,
        "order_id": str(alice.order.public_id),
        "session_id": "cs_test_1",
        "event_id": "evt_1",
        "provider": "acme",
        "model": "gpt-test",
        "held_credits": 1_000,
        "hour": None,
    }
    item, _ = file_item(kind=kind, reference="r1", summary="Something", detail=detail)

    page = root.get(desk.page_url(item))

    assert page.status_code == 200
    assert "What to do" in page.content.decode()
    assert "1,000" in page.content.decode()
    assert "<pre>" not in page.content.decode()
    for tool in page.context["tools"]:
        assert root.get(tool.url).status_code == 200, tool


def test_a_finding_of_a_wallet_leads_to_it(root: Client, alice: desk.Buyer) -> None:
    item, _ = file_item(
        kind="usage_parked", reference="r1", summary="Odd", detail={"wallet": alice.wallet.pk}
    )

    page = root.get(desk.page_url(item)).content.decode()

    assert f'<a href="{desk.page_url(alice.wallet)}">' in page


def test_staff_take_a_finding_and_let_it_go(root: Client, db: None) -> None:
    item = desk.make_inbox_item()

    root.post(desk.do_url("take", item), {"reason": "Mine"})
    item.refresh_from_db()
    assert item.assigned_to == User.objects.get(email="root@example.com")
    mine = root.get(desk.list_url(InboxItem), {"hands": "mine"}).context["cl"].result_count
    nobody = root.get(desk.list_url(InboxItem), {"hands": "nobody"}).context["cl"].result_count
    assert (mine, nobody) == (1, 0)

    root.post(desk.do_url("let-go", item), {"reason": "Away"})
    item.refresh_from_db()
    assert item.assigned_to is None


def test_nobody_takes_what_is_resolved(root: Client, db: None) -> None:
    item = desk.make_inbox_item()
    root.post(desk.do_url("resolve", item), {"reason": "Done"})

    root.post(desk.do_url("take", item), {"reason": "Mine"})

    item.refresh_from_db()
    assert item.assigned_to is None


def test_urgent_findings_are_mailed_once_and_together(db: None, settings: Settings) -> None:
    settings.INBOX_MAIL_TO = ["ops@example.com"]
    file_item(kind="audit_finding", reference="1", summary="Wallet 7 does not add up")
    file_item(kind="order_mismatch", reference="2", summary="Paid 8 instead of 9")
    file_item(kind="refund_failed", reference="3", summary="Not urgent")

    assert [mail_findings(), mail_findings()] == [2, 0]

    [message] = mail.outbox
    assert message.to == ["ops@example.com"]
    assert "Wallet 7" in message.body
    assert "Paid 8" in message.body
    assert "Not urgent" not in message.body


def test_a_mail_that_failed_is_sent_by_the_next_sweep(db: None, settings: Settings) -> None:
    settings.INBOX_MAIL_TO = ["ops@example.com"]
    file_item(kind="audit_finding", reference="1", summary="Wallet 7 does not add up")
    working, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, "nowhere.Backend"
    with pytest.raises(ImportError):
        mail_findings()

    settings.EMAIL_BACKEND = working
    assert mail_findings() == 1


def test_without_an_address_nobody_is_mailed(db: None, settings: Settings) -> None:
    settings.INBOX_MAIL_TO = []
    item, _ = file_item(kind="audit_finding", reference="1", summary="Wallet 7")

    assert mail_findings() == 0
    item.refresh_from_db()
    assert item.mailed_at is None
