"""Codes and welcomes at the desk."""

import csv
import io
import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.audit import read_said
from accounts.teams.members import own_seat
from billing.gifts.redeem_codes import redeem
from billing.models import CodeBatch, RedeemCode, WelcomeCredit
from tests import desk

ADD = "/admin/billing/codebatch/add/"


def terms(**fields: Any) -> dict[str, Any]:
    return {
        "name": "Launch",
        "size": "3",
        "credits": "500",
        "last_day": "2999-12-31",
        "is_promotional": "on",
        "once": str(uuid.uuid4()),
        **fields,
    }


def read_codes(content: bytes) -> list[str]:
    return [row[0] for row in csv.reader(io.StringIO(content.decode()))][1:]


def test_a_batch_is_made_and_shown_once(root: Client, alice: desk.Buyer) -> None:
    asked = terms()

    answer = root.post(ADD, asked)
    again = root.post(ADD, asked, follow=True).content.decode()

    codes = read_codes(answer.content)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="codes-')
    assert len(set(codes)) == 3
    assert "can&#x27;t be shown again" in again
    assert redeem(own_seat(alice.user), codes[0], address="127.0.0.1").amount_credits == 500
    assert read_said(desk.last_record()).name == "Launch"


@pytest.mark.parametrize(
    "wrong", [{"size": "0"}, {"credits": "-1"}, {"last_day": "2020-01-01"}, {"lot_days": "0"}]
)
def test_terms_that_make_no_sense_make_nothing(root: Client, wrong: dict[str, str]) -> None:
    page = root.post(ADD, terms(**wrong))

    assert page.status_code == 200
    assert "errorlist" in page.content.decode()
    assert not CodeBatch.objects.exists()


def test_who_may_not_grant_credits_makes_no_codes(db: None) -> None:
    clerk = desk.make_staff("clerk@example.com", "billing.view_codebatch", "billing.add_codebatch")

    assert clerk.post(ADD, terms()).status_code == 403
    assert not CodeBatch.objects.exists()


def test_a_batch_is_revoked_with_a_reason(root: Client) -> None:
    root.post(ADD, terms())
    batch = CodeBatch.objects.get()

    root.post(desk.do_url("revoke", batch), {"reason": "The file was lost"})

    batch.refresh_from_db()
    assert batch.revoked_at is not None
    assert "The file was lost" in desk.said()


def test_a_code_is_found_by_its_text(root: Client) -> None:
    codes = read_codes(root.post(ADD, terms()).content)

    page = root.get(desk.list_url(RedeemCode), {"q": codes[0].lower()}).content.decode()

    assert f"…{codes[0][-4:]}" in page
    assert page.count('class="field-batch') == 1


def test_a_refused_welcome_is_seen(root: Client, alice: desk.Buyer) -> None:
    WelcomeCredit.objects.create(
        user=alice.user, address="a@example.com", network="203.0.113.0/24", refusal="network"
    )

    page = root.get(f"{desk.list_url(WelcomeCredit)}?answer=refused").content.decode()

    assert "this network was welcomed lately" in page
