"""Orders at the desk: asking Stripe again."""

import socket

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django.fixtures import Settings

from billing.models import Purchase
from tests import desk

WHY = {"reason": "She says she paid"}


@pytest.fixture
def nobody_answers(settings: Settings) -> None:
    """Let Stripe's address be one where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_stripes_silence_is_told_and_changes_nothing(
    root: Client, alice: desk.Customer, nobody_answers: None
) -> None:
    before = Purchase.objects.values().get(pk=alice.purchase.pk)

    answer = root.post(desk.do_url("ask-stripe", alice.purchase), WHY, follow=True)

    assert [message.level_tag for message in answer.context["messages"]] == ["error"]
    assert Purchase.objects.values().get(pk=alice.purchase.pk) == before
    assert not LogEntry.objects.exists()


def test_an_order_without_a_session_is_not_asked_about(root: Client, alice: desk.Customer) -> None:
    Purchase.objects.filter(pk=alice.purchase.pk).update(stripe_session_id=None)

    answer = root.post(desk.do_url("ask-stripe", alice.purchase), WHY, follow=True)

    assert b"Stripe was never asked for a session." in answer.content
    assert b"do/ask-stripe/" not in answer.content
