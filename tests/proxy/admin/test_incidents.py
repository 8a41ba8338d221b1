"""Incidents: staff tell them at the desk, customers read them on the status page and by feed."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from proxy.models import Incident, IncidentUpdate
from tests import desk

ADD = "/admin/proxy/incident/add/"
TROUBLE = "<b>Slow</b> answers"


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))


def form(**fields: Any) -> dict[str, Any]:
    return {
        "title": TROUBLE,
        "impact": "slow",
        "affected": [str(desk.make_model().pk)],
        "started_at_0": "2026-11-28",
        "started_at_1": "10:00:00",
        "resolved_at_0": "",
        "resolved_at_1": "",
        "updates-TOTAL_FORMS": "1",
        "updates-INITIAL_FORMS": "0",
        "updates-0-state": "looking",
        "updates-0-text": "A provider is slow.",
        **fields,
    }


def say(root: Client, incident: Incident, state: str, text: str) -> None:
    url = f"/admin/proxy/incident/{incident.pk}/change/"
    updates = {
        "updates-TOTAL_FORMS": "2",
        "updates-INITIAL_FORMS": "1",
        "updates-0-id": str(incident.updates.get().pk),
        "updates-0-incident": str(incident.pk),
        "updates-0-text": "What was said before, altered.",
        "updates-1-incident": str(incident.pk),
        "updates-1-state": state,
        "updates-1-text": text,
    }
    assert root.post(url, form(**updates)).status_code == 302


def test_what_staff_say_is_on_the_status_page_and_in_the_feed(root: Client) -> None:
    assert root.post(ADD, form()).status_code == 302

    update = IncidentUpdate.objects.get()
    assert str(update.said_by) == "root@example.com"
    page = Client().get("/status/").content.decode()
    feed = Client().get("/status/feed.atom").content.decode()
    for text in (page, feed):
        assert "&lt;b&gt;Slow&lt;/b&gt; answers" in text
        assert "A provider is slow." in text
        assert "root@example.com" not in text
    assert "Everything works" not in page


def test_an_update_that_says_so_ends_the_incident_and_nothing_said_is_altered(
    root: Client,
) -> None:
    root.post(ADD, form())
    incident = Incident.objects.get()

    say(root, incident, "over", "It is fast again.")

    incident.refresh_from_db()
    assert incident.resolved_at is not None
    said = list(incident.updates.values_list("text", flat=True))
    assert said == ["It is fast again.", "A provider is slow."]
    page = Client().get("/status/").content.decode()
    assert "It is fast again." in page.split("Past incidents")[1]
    assert "Everything" in page or "Something" in page


def test_an_incident_can_not_be_over_before_it_began(root: Client) -> None:
    answer = root.post(ADD, form(resolved_at_0="2026-11-27", resolved_at_1="10:00:00"))

    assert answer.status_code == 200
    assert "over before it began" in answer.content.decode()
    assert not Incident.objects.exists()


def test_a_feed_holds_what_xml_can_not(root: Client) -> None:
    root.post(ADD, form(**{"updates-0-text": "A\x0b\x1fB]]>"}))

    feed = Client().get("/status/feed.atom")

    assert feed.status_code == 200
    assert not re.search("[\x0b\x1f]", feed.content.decode())
    assert feed["Content-Type"].startswith("application/atom+xml")
