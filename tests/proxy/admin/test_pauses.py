"""Pausing a provider at the desk."""

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import User
from proxy.models import Provider
from tests import desk

WHY = {"reason": "Its answers are cut short"}


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))


def test_a_provider_is_paused_with_a_reason_and_resumed(root: Client) -> None:
    provider = desk.make_provider()

    root.post(desk.do_url("pause", provider), WHY)
    provider.refresh_from_db()
    paused_at, reason = provider.paused_at, provider.pause_reason
    front, page = root.get("/admin/"), root.get(desk.page_url(provider))
    root.post(desk.do_url("resume", provider), WHY)
    provider.refresh_from_db()

    assert paused_at is not None
    assert reason == WHY["reason"]
    assert "Providers paused" in front.content.decode()
    assert WHY["reason"] in page.content.decode()
    assert (provider.paused_at, provider.pause_reason) == (None, "")


def test_a_second_pause_keeps_the_first_reason(root: Client) -> None:
    provider = desk.make_provider()

    root.post(desk.do_url("pause", provider), WHY)
    root.post(desk.do_url("pause", provider), {"reason": "Another"})

    provider.refresh_from_db()
    assert provider.pause_reason == WHY["reason"]


def test_a_pause_without_a_reason_is_refused_by_the_desk_and_the_database(root: Client) -> None:
    provider = desk.make_provider()

    root.post(desk.do_url("pause", provider), {"reason": ""})

    provider.refresh_from_db()
    assert provider.paused_at is None
    with pytest.raises(IntegrityError), transaction.atomic():
        Provider.objects.update(paused_at=desk.NOON)
