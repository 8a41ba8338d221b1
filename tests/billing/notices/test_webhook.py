"""A program of the operator's is told of urgent findings: signed, once each, until it answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
import stripe
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from billing.ledger.inbox import file_item
from billing.models import InboxItem
from billing.notices.webhook import SIGNATURE, post_findings
from devstack.ports import free_port

SECRET = "whsec_of_the_program"


class Program(ThreadingHTTPServer):
    """Answers as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hook)
        self.status = 200
        self.heard: list[tuple[str, bytes]] = []

    @property
    def ids(self) -> list[int]:
        return [orjson.loads(body)["id"] for _, body in self.heard]


class Hook(BaseHTTPRequestHandler):
    server: Program

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.heard.append((self.headers[SIGNATURE], body))
        self.send_response(self.server.status)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[Program]:
    with Program() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.fixture
def program(db: None, settings: Settings) -> Iterator[Program]:
    with running() as server:
        settings.INBOX_WEBHOOK_URL = f"http://127.0.0.1:{server.server_port}/hook"
        settings.INBOX_WEBHOOK_SECRET = SECRET
        yield server


def find(kind: str, reference: str = "1") -> InboxItem:
    return file_item(kind=kind, reference=reference, summary="Wallet 7 does not add up")[0]


def make_due() -> None:
    """Let time pass until what failed is tried again."""
    InboxItem.objects.update(next_attempt_at=timezone.now())


def test_an_urgent_finding_is_posted_once_and_signed(program: Program) -> None:
    item = find("audit_finding")
    find("refund_failed")

    assert post_findings() == 1
    make_due()
    assert post_findings() == 0

    [(signature, body)] = program.heard
    told: dict[str, Any] = orjson.loads(body)
    assert (told["id"], told["kind"], told["reference"]) == (item.pk, "audit_finding", "1")
    assert told["url"].endswith(f"/admin/billing/inboxitem/{item.pk}/change/")
    # By another's code than ours.
    assert stripe.WebhookSignature.verify_header(body.decode(), signature, SECRET, 60)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body.decode() + " ", signature, SECRET, 60)


@pytest.mark.parametrize("status", [302, 400, 500])
def test_it_is_told_again_until_it_takes_it(program: Program, status: int) -> None:
    item, program.status = find("audit_finding"), status

    assert [post_findings(), post_findings()] == [0, 0]
    assert len(program.heard) == 1

    program.status = 204
    make_due()
    assert post_findings() == 1
    assert program.ids == [item.pk, item.pk]


def test_a_program_that_is_away_is_told_later(program: Program, settings: Settings) -> None:
    there = settings.INBOX_WEBHOOK_URL
    settings.INBOX_WEBHOOK_URL = f"http://127.0.0.1:{free_port()}/hook"
    find("audit_finding")

    assert post_findings() == 0

    settings.INBOX_WEBHOOK_URL = there
    make_due()
    assert post_findings() == 1


def test_one_that_it_refuses_keeps_no_other_waiting(program: Program) -> None:
    first, second = find("audit_finding", "1"), find("audit_finding", "2")
    program.status = 400
    post_findings()

    program.status = 200
    post_findings()

    assert program.ids == [first.pk, second.pk]


def test_what_is_resolved_is_not_told(program: Program) -> None:
    find("audit_finding")
    InboxItem.objects.update(resolved_at=timezone.now(), resolution=F("summary"))

    assert post_findings() == 0
    assert program.heard == []


def test_without_an_address_nothing_is_told(program: Program, settings: Settings) -> None:
    settings.INBOX_WEBHOOK_URL = ""
    find("audit_finding")

    assert post_findings() == 0
    assert InboxItem.objects.get().attempts == 0
