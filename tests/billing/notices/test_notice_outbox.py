"""Sending: what is tried again, what is given up, and what two sweeps at once do."""

from datetime import UTC, datetime, timedelta
from smtplib import SMTPAuthenticationError, SMTPRecipientsRefused, SMTPServerDisconnected
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.models import Notice
from billing.notices.outbox import MOST_ATTEMPTS, send_again, send_due_notices
from billing.tasks.notices import send_notices
from tests.racing import race

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class BrokenServer(EmailBackend):
    """A mail server that is away, or wants no mail for addresses of nobody.example."""

    error: Exception = SMTPServerDisconnected("Connection unexpectedly closed")

    def send_messages(self, messages: Any) -> int:
        raise self.error


class RefusingServer(BrokenServer):
    error = SMTPRecipientsRefused({"alice@example.com": (550, b"no such mailbox")})


class BusyServer(BrokenServer):
    error = SMTPRecipientsRefused({"alice@example.com": (451, b"try again later")})


class UnreachableServer(BrokenServer):
    error = ConnectionRefusedError("Connection refused")


class LockedServer(BrokenServer):
    error = SMTPAuthenticationError(535, b"bad credentials")


def use(settings: Settings, server: type[EmailBackend]) -> None:
    settings.EMAIL_BACKEND = f"{server.__module__}.{server.__qualname__}"


@pytest.fixture
def notice(alice: User) -> Notice:
    """A new key of Alice's, which is to be told at noon."""
    with time_machine.travel(NOON, tick=False):
        issue_api_key(own_seat(alice), name="Laptop")
    return Notice.objects.get()


def sweep(notice: Notice, at: datetime) -> Notice:
    with time_machine.travel(at, tick=False):
        send_due_notices()
    notice.refresh_from_db()
    return notice


def test_it_is_sent_and_then_done(notice: Notice) -> None:
    sweep(notice, NOON)
    sweep(notice, NOON + timedelta(days=1))

    assert len(mail.outbox) == 1
    assert (notice.sent_at, notice.sent_to, notice.attempts) == (NOON, "alice@example.com", 1)


def test_a_failure_is_kept_and_tried_again_later_each_time(
    notice: Notice, settings: Settings
) -> None:
    use(settings, BrokenServer)

    waits = []
    at = NOON
    for _ in range(3):
        sweep(notice, at)
        waits.append((notice.next_attempt_at - at).total_seconds())
        at = notice.next_attempt_at

    for wait, pause in zip(waits, (60, 120, 240), strict=True):
        assert pause <= wait <= 1.1 * pause
    assert notice.error == "SMTPServerDisconnected: Connection unexpectedly closed"


def test_it_is_not_tried_before_its_time(notice: Notice, settings: Settings) -> None:
    use(settings, BrokenServer)
    sweep(notice, NOON)

    sweep(notice, NOON + timedelta(seconds=59))

    assert notice.attempts == 1


def test_it_is_sent_when_the_server_is_back(notice: Notice, settings: Settings) -> None:
    use(settings, BrokenServer)
    sweep(notice, NOON)
    use(settings, EmailBackend)

    sweep(notice, NOON + timedelta(seconds=66))

    assert len(mail.outbox) == 1
    assert (notice.attempts, notice.error) == (2, "")


def test_it_is_given_up_in_the_end(notice: Notice, settings: Settings) -> None:
    use(settings, BrokenServer)

    at = NOON
    while notice.given_up_at is None:
        sweep(notice, at)
        at = notice.next_attempt_at

    assert notice.attempts == MOST_ATTEMPTS
    assert timedelta(hours=12) < notice.given_up_at - NOON < timedelta(hours=36)


@pytest.mark.parametrize("server", [UnreachableServer, LockedServer])
def test_no_mail_is_lost_by_a_long_weekend_without_a_mail_server(
    notice: Notice, settings: Settings, server: type[EmailBackend]
) -> None:
    use(settings, server)
    at = NOON
    while notice.given_up_at is None and at < NOON + timedelta(days=4):
        sweep(notice, at)
        at = notice.next_attempt_at
    assert notice.attempts > MOST_ATTEMPTS
    use(settings, EmailBackend)

    sweep(notice, at)

    assert len(mail.outbox) == 1


def test_after_a_week_without_a_mail_server_nothing_new_is_said(
    notice: Notice, settings: Settings
) -> None:
    use(settings, UnreachableServer)

    sweep(notice, NOON + timedelta(days=7))
    assert notice.given_up_at is None
    sweep(notice, NOON + timedelta(days=8))

    assert notice.given_up_at is not None


@pytest.mark.parametrize(("server", "is_over"), [(RefusingServer, True), (BusyServer, False)])
def test_an_address_that_will_never_do_is_given_up_at_once(
    notice: Notice, settings: Settings, server: type[EmailBackend], is_over: bool
) -> None:
    use(settings, server)

    sweep(notice, NOON)

    assert (notice.given_up_at is not None) == is_over


def test_a_server_that_is_away_is_not_asked_for_each_mail(
    alice: User, notice: Notice, settings: Settings
) -> None:
    use(settings, BrokenServer)
    with time_machine.travel(NOON, tick=False):
        issue_api_key(own_seat(alice), name="Phone")
        tried = send_due_notices()

    assert tried == 1
    assert sorted(Notice.objects.values_list("attempts", flat=True)) == [0, 1]


def test_an_address_that_is_refused_does_not_keep_the_others(
    alice: User, notice: Notice, settings: Settings
) -> None:
    use(settings, RefusingServer)
    with time_machine.travel(NOON, tick=False):
        issue_api_key(own_seat(alice), name="Phone")
        tried = send_due_notices()

    assert tried == 2


def test_the_worker_sends_what_is_due(notice: Notice) -> None:
    tried = send_notices()

    assert (tried, len(mail.outbox)) == (1, 1)


def test_it_can_be_sent_again(notice: Notice, settings: Settings) -> None:
    use(settings, RefusingServer)
    sweep(notice, NOON)
    use(settings, EmailBackend)

    with time_machine.travel(NOON + timedelta(days=3), tick=False):
        send_again(notice)
    sweep(notice, NOON + timedelta(days=3))

    assert len(mail.outbox) == 1
    assert notice.given_up_at is None


def test_one_mail_that_breaks_does_not_keep_the_others(alice: User, notice: Notice) -> None:
    broken = Notice.objects.create(
        user=alice, kind="purchase", reference="1", created_at=NOON, next_attempt_at=NOON
    )

    sweep(notice, NOON)

    broken.refresh_from_db()
    assert notice.sent_at == NOON
    assert broken.sent_at is None
    assert broken.error


def test_a_mail_whose_sender_died_is_sent_after_its_lease(notice: Notice) -> None:
    # As a sweep leaves it that was killed after taking it.
    Notice.objects.filter(pk=notice.pk).update(
        attempts=1, next_attempt_at=NOON + timedelta(minutes=2)
    )

    sweep(notice, NOON + timedelta(minutes=1))
    before = len(mail.outbox)
    sweep(notice, NOON + timedelta(minutes=2))

    assert (before, len(mail.outbox)) == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_send_each_mail_once(alice: User) -> None:
    for name in ("one", "two", "three"):
        issue_api_key(own_seat(alice), name=name)

    tried = race([send_due_notices] * 4, meet_at='UPDATE "billing_notice"')

    assert sum(tried) == len(mail.outbox) == 3
