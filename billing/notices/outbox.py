"""Send the notices that are due, and try those that fail again later.

`common/due.py` says how sweeps share the due notices. If a process dies after the mail server has
accepted a mail and before we note it, the mail is sent twice with the same Message-ID, by which
mail programs recognise the copy.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from smtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPServerDisconnected,
)

import structlog
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

from billing.models import Notice
from billing.notices.composing import compose
from common.due import RetriedRows

# Spread over about a day; then a person looks at it.
MOST_ATTEMPTS = 12
NOTICES = RetriedRows(
    Notice.objects.filter(sent_at=None, given_up_at=None),
    # Well above EMAIL_TIMEOUT, and no longer: so long waits a notice whose worker was killed. If
    # two sweeps sent one notice, the only harm is a second mail.
    lease=timedelta(minutes=2),
    first_pause=timedelta(minutes=1),
    longest_pause=timedelta(hours=6),
    alarming_attempts=MOST_ATTEMPTS,
)
# How long to retry while the mail server can't be reached; older mails are out of date.
LONGEST_OUTAGE = timedelta(days=7)
BATCH = 100
# A slow mail server must not keep a worker's thread for long: the wallets' sweeps need it, too.
MOST_TIME_S = 30

log = structlog.get_logger(__name__)


def send_due_notices(*, most: int = BATCH) -> int:
    """Send the notices that are due, oldest first, and return how many were tried.

    Ends early when the mail server is away or slow. Safe to run at once: one sweep claims each
    notice.
    """
    connection, until = get_connection(), time.monotonic() + MOST_TIME_S
    tried = 0
    try:
        for notice in NOTICES.take(_due(most)):
            tried += 1
            if not _send(notice, connection) or time.monotonic() > until:
                break
    finally:
        connection.close()
    return tried


def _due(most: int) -> Iterator[Notice]:
    """Yield what is due, oldest first; mails of incidents last, for there are thousands at once."""
    due = NOTICES.due().select_related("user")
    tried = 0
    for notice in due.exclude(kind=Notice.Kind.INCIDENT)[:most]:
        tried += 1
        yield notice
    yield from due.filter(kind=Notice.Kind.INCIDENT)[: most - tried]


def send_again(notice: Notice) -> None:
    """Make a notice due, whether it was sent or not; the next sweep sends it."""
    Notice.objects.filter(pk=notice.pk).update(
        sent_at=None, given_up_at=None, attempts=0, error="", next_attempt_at=timezone.now()
    )


def _send(notice: Notice, connection: BaseEmailBackend) -> bool:
    """Send one notice and note how it went. False if the mail server is away."""
    try:
        message = compose(notice)
        # Opened once for the whole batch, and again after a failure.
        connection.open()
        message.connection = connection
        message.send()
    except Exception as error:  # noqa: BLE001 - whatever one mail breaks, the others go on
        connection.close()
        _note_failure(notice, error)
        return not _is_away(error)
    else:
        _note_success(notice)
    return True


def _note_success(notice: Notice) -> None:
    sent = Notice.objects.filter(pk=notice.pk)
    if notice.user_id is None:
        # The address of somebody who is no customer is kept no longer than it is needed.
        sent.delete()
    else:
        sent.update(sent_at=timezone.now(), sent_to=notice.recipient, error="")


def _note_failure(notice: Notice, error: Exception) -> None:
    """Save the error and postpone the notice, or give it up if it can't be sent."""
    now = timezone.now()
    is_over = _is_final(error) or NOTICES.is_alarming(notice)
    if _is_unreachable(error):
        is_over = now - notice.created_at > LONGEST_OUTAGE
    log.warning("notice_failed", notice_id=notice.pk, attempts=notice.attempts, exc_info=error)
    NOTICES.postpone(
        notice,
        error=f"{type(error).__name__}: {error}",
        given_up_at=now if is_over else None,
    )


def _is_away(error: Exception) -> bool:
    """Tell whether the next mail would fail as this one did."""
    return _is_unreachable(error) or isinstance(error, SMTPServerDisconnected)


def _is_unreachable(error: Exception) -> bool:
    """Tell whether the mail server never saw this mail."""
    # smtplib's errors are OSErrors, too, but most of them concern one mail.
    is_network = isinstance(error, OSError) and not isinstance(error, SMTPException)
    return is_network or isinstance(error, SMTPConnectError | SMTPAuthenticationError)


def _is_final(error: Exception) -> bool:
    """Tell whether the mail server refused the address for good (5yz: RFC 5321, 4.2.1)."""
    return isinstance(error, SMTPRecipientsRefused) and all(
        code >= 500 for code, _ in error.recipients.values()
    )
