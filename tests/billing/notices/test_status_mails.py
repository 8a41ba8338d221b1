"""Mails of incidents: who gets them, in which language, and how each address is let go."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.leaving.erasure import erase
from billing.models import Notice, StatusNews, StatusSubscription
from billing.notices.status import subscriptions
from billing.notices.status.news import notify_subscribers, write_incident_mails
from billing.upkeep.retention import delete_old
from proxy.models import Incident
from tests import desk
from tests.billing.notices.conftest import Mailbox

ADDRESS = "reader@example.net"
FORM = {"email": ADDRESS}
CONFIRM = re.compile(r"https?://[^/\s]+(/status/confirm/\S+/)")
GERMAN = {"Accept-Language": "de"}


@pytest.fixture(autouse=True)
def no_limits(db: None) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))


def ask(mailbox: Mailbox, *, headers: dict[str, str] | None = None, **form: Any) -> str:
    """Fill in the form, and return the path of the link that was mailed."""
    answer = Client().post("/status/subscribe/", {**FORM, **form}, headers=headers or {})
    assert answer.status_code == 200, answer.content.decode()
    found = CONFIRM.search(str(mailbox()[-1].body))
    assert found is not None
    return found[1]


def subscribe(mailbox: Mailbox, *, headers: dict[str, str] | None = None, **form: Any) -> None:
    assert Client().post(ask(mailbox, headers=headers, **form)).status_code == 200


def report(root: Client, **fields: Any) -> Incident:
    form = {
        "title": "Slow answers",
        "title_de": "Langsame Antworten",
        "impact": "slow",
        "started_at_0": "2026-11-28",
        "started_at_1": "10:00:00",
        "updates-TOTAL_FORMS": "1",
        "updates-INITIAL_FORMS": "0",
        "updates-0-state": "looking",
        "updates-0-text": "A provider is slow.",
        **fields,
    }
    assert root.post("/admin/proxy/incident/add/", form).status_code == 302
    return Incident.objects.latest("pk")


def change(root: Client, incident: Incident, **fields: Any) -> None:
    form = {
        "title": incident.title,
        "impact": "slow",
        "started_at_0": "2026-11-28",
        "started_at_1": "10:00:00",
        "updates-TOTAL_FORMS": "0",
        "updates-INITIAL_FORMS": "0",
        **fields,
    }
    answer = root.post(f"/admin/proxy/incident/{incident.pk}/change/", form)
    assert answer.status_code == 302


def new_mails(mailbox: Mailbox) -> list[EmailMultiAlternatives]:
    """Return what the sweeps mail from here on."""
    before = len(mailbox())
    write_incident_mails()
    return mailbox()[before:]


def unsubscribe_path(mail: EmailMultiAlternatives) -> str:
    found = re.fullmatch(r"<https?://[^/]+(/.*)>", str(mail.extra_headers["List-Unsubscribe"]))
    assert found is not None
    return found[1]


def test_it_takes_a_press_of_the_mailed_page_and_not_only_its_link(mailbox: Mailbox) -> None:
    path = ask(mailbox)

    looked = Client().get(path)

    assert looked.status_code == 200
    assert StatusSubscription.objects.get().confirmed_at is None
    pressed = Client().post(path)
    assert ADDRESS in pressed.content.decode()
    assert StatusSubscription.objects.get().confirmed_at is not None
    # The outbox forgets an address without an account once its mail is sent.
    assert not Notice.objects.exists()


def test_an_address_that_is_known_is_answered_like_any_other(mailbox: Mailbox) -> None:
    subscribe(mailbox)

    known = Client().post("/status/subscribe/", FORM).content.decode()
    new = Client().post("/status/subscribe/", {"email": "other@example.net"}).content.decode()

    token = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
    assert token.sub("", known) == token.sub("", new).replace("other@example.net", ADDRESS)


def test_a_link_ends_after_days_and_so_does_what_was_never_confirmed(mailbox: Mailbox) -> None:
    path = ask(mailbox)

    with time_machine.travel(timezone.now() + timedelta(days=3, minutes=1), tick=False):
        late = Client().post(path)
        delete_old()

    assert late.status_code == 404
    assert not StatusSubscription.objects.exists()


def test_a_link_that_was_altered_does_nothing(mailbox: Mailbox) -> None:
    path = ask(mailbox)

    altered = Client().post(path.replace("/confirm/", "/confirm/A"))
    mixed_up = Client().post(path.replace("/confirm/", "/unsubscribe/"))

    assert [altered.status_code, mixed_up.status_code] == [404, 404]
    assert StatusSubscription.objects.get().confirmed_at is None


def test_each_thing_that_staff_say_is_mailed_once(root: Client, mailbox: Mailbox) -> None:
    subscribe(mailbox)

    incident = report(root)
    [began] = new_mails(mailbox)
    change(root, incident, title="Slow replies")
    corrected = new_mails(mailbox)
    incident.refresh_from_db()
    change(root, incident, resolved_at_0="2026-11-28", resolved_at_1="11:00:00")
    [ended] = new_mails(mailbox)

    assert (began.to, began.subject) == ([ADDRESS], "Slow answers")
    assert "A provider is slow." in str(began.body)
    assert corrected == []
    assert ended.subject == "Over: Slow replies"
    assert "28 November 2026, 11:00 UTC" in str(ended.body)
    assert not StatusNews.objects.exists()


def test_an_update_is_mailed_alone(root: Client, mailbox: Mailbox) -> None:
    subscribe(mailbox)
    incident = report(root)
    new_mails(mailbox)

    said = {
        "updates-TOTAL_FORMS": "2",
        "updates-INITIAL_FORMS": "1",
        "updates-0-id": str(incident.updates.get().pk),
        "updates-0-incident": str(incident.pk),
        "updates-1-incident": str(incident.pk),
        "updates-1-state": "over",
        "updates-1-text": "It is fast again.",
    }
    change(root, incident, **said)
    [mail] = new_mails(mailbox)

    assert mail.subject == "Over: Slow answers"
    assert "It is fast again." in str(mail.body)
    assert "A provider is slow." not in str(mail.body)


def test_who_chose_models_hears_of_those_and_of_the_whole_service(
    root: Client, mailbox: Mailbox
) -> None:
    ours, theirs = desk.make_model("gpt-ours"), desk.make_model("gpt-theirs")
    subscribe(mailbox, models=["gpt-ours"])

    report(root, title="Theirs", affected=[str(theirs.pk)])
    report(root, title="Ours", affected=[str(ours.pk), str(theirs.pk)])
    report(root, title="All")
    mails = [mail for _ in range(3) for mail in new_mails(mailbox)]

    assert [mail.subject for mail in mails] == ["Ours", "All"]


def test_a_reader_of_german_reads_german(root: Client, mailbox: Mailbox) -> None:
    subscribe(mailbox, headers=GERMAN)

    report(root, **{"updates-0-text_de": "Ein Anbieter ist langsam."})
    [mail] = new_mails(mailbox)

    assert mail.subject == "Langsame Antworten"
    assert "Ein Anbieter ist langsam." in str(mail.body)
    assert "Langsamer als üblich" in str(mail.body)


def test_a_mail_program_ends_it_with_one_post(root: Client, mailbox: Mailbox) -> None:
    subscribe(mailbox)
    report(root)
    [mail] = new_mails(mailbox)

    path = unsubscribe_path(mail)
    looked = Client(enforce_csrf_checks=True).get(path)
    is_still_there = StatusSubscription.objects.exists()
    posted = Client(enforce_csrf_checks=True).post(path, {"List-Unsubscribe": "One-Click"})
    again = Client(enforce_csrf_checks=True).post(path, {"List-Unsubscribe": "One-Click"})

    assert mail.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert path in str(mail.body)
    assert [looked.status_code, posted.status_code, again.status_code] == [200, 200, 200]
    assert is_still_there
    assert not StatusSubscription.objects.exists()


def test_who_ends_it_gets_none_of_the_mails_that_were_written(
    root: Client, mailbox: Mailbox
) -> None:
    subscribe(mailbox)
    report(root)
    write_incident_mails()

    subscriptions.end_subscription(str(StatusSubscription.objects.get().public_id))

    assert not [mail for mail in mailbox() if mail.subject == "Slow answers"]


def test_who_subscribes_later_hears_nothing_old(root: Client, mailbox: Mailbox) -> None:
    report(root)
    subscribe(mailbox)

    assert new_mails(mailbox) == []


def test_a_sweep_that_stops_leaves_off_where_the_next_goes_on(mailbox: Mailbox) -> None:
    now = timezone.now()
    StatusSubscription.objects.bulk_create(
        StatusSubscription(address=f"{number}@example.net", language="en", confirmed_at=now)
        for number in range(5)
    )
    facts = {"title": "x", "impact": "x", "updates": [], "is_over": False}
    notify_subscribers(facts={**facts, "started_at": "2026-11-28T10:00:00+00:00"}, model_names=[])

    written = [write_incident_mails(batch=2) for _ in range(4)]

    assert written == [2, 2, 1, 0]
    assert Notice.objects.values("address").distinct().count() == 5
    assert not StatusNews.objects.exists()


def test_other_mails_go_before_those_of_an_incident(
    root: Client, alice: User, mailbox: Mailbox
) -> None:
    subscribe(mailbox)
    report(root)
    write_incident_mails()
    Notice.objects.create(user=alice, kind="new_key", reference="1", facts={"hint": "tp_…"})

    sent = [mail.to for mail in mailbox()]

    assert sent[-2:] == [["alice@example.com"], [ADDRESS]]


def test_an_address_is_mailed_only_so_often(mailbox: Mailbox) -> None:
    answers = [Client().post("/status/subscribe/", FORM) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0
    assert len(mailbox()) == 3


def test_what_is_no_address_is_refused(mailbox: Mailbox) -> None:
    answer = Client().post("/status/subscribe/", {"email": "reader@", "models": ["none"]})

    assert answer.status_code == 400
    assert answer.content.decode().count("errorlist") == 2
    assert mailbox() == []


def test_there_is_an_end_to_the_list(monkeypatch: pytest.MonkeyPatch, mailbox: Mailbox) -> None:
    monkeypatch.setattr(subscriptions, "MOST_SUBSCRIPTIONS", 0)

    answer = Client().post("/status/subscribe/", FORM)

    assert answer.status_code == 400
    assert "no more addresses" in answer.content.decode()
    assert mailbox() == []


def test_staff_find_one_address_and_no_list(root: Client, mailbox: Mailbox) -> None:
    subscribe(mailbox)
    page = "/admin/billing/statussubscription/"

    unasked = root.get(page).content.decode()
    part = root.get(page, {"q": "reader@"}).content.decode()
    found = root.get(page, {"q": "Reader@example.net "}).content.decode()

    assert "1 confirmed, 0 not" in unasked
    assert [ADDRESS in text for text in (unasked, part)] == [False, False]
    assert f">{ADDRESS}<" in found


def test_an_address_that_is_not_known_to_be_theirs_is_not_taken_off(
    alice: User, mailbox: Mailbox
) -> None:
    subscribe(mailbox, email=alice.email)
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=False)

    erase(alice)

    assert StatusSubscription.objects.filter(address="alice@example.com").exists()


def test_a_subscription_that_moves_takes_along_what_is_to_be_sent(mailbox: Mailbox) -> None:
    subscribe(mailbox)
    ask(mailbox, email="new@example.net")
    notify_subscribers(facts={"title": "Slow", "updates": []}, model_names=[])
    write_incident_mails()

    subscriptions.move_subscription(old=ADDRESS, new="New@example.net")

    row = StatusSubscription.objects.get()
    assert (row.address, row.confirmed_at is None) == ("new@example.net", False)
    waiting = Notice.objects.filter(kind=Notice.Kind.INCIDENT)
    assert [each.address for each in waiting] == ["new@example.net"]


def test_a_subscription_of_the_new_address_stays_as_it_is(mailbox: Mailbox) -> None:
    subscribe(mailbox)
    subscribe(mailbox, email="new@example.net", headers=GERMAN)

    subscriptions.move_subscription(old=ADDRESS, new="new@example.net")

    row = StatusSubscription.objects.get()
    assert (row.address, row.language) == ("new@example.net", "de")


def test_what_was_never_confirmed_does_not_move(mailbox: Mailbox) -> None:
    ask(mailbox)

    subscriptions.move_subscription(old=ADDRESS, new="new@example.net")

    assert StatusSubscription.objects.get().address == ADDRESS
