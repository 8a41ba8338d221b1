"""The SMTP side: take what comes and keep it."""

import time
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.mail.mailbox import Mailbox

MAX_BYTES = 2 * 1024 * 1024


class Taker:
    """Answers SMTP's DATA."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        content: Any = envelope.content
        self._mailbox.add(
            bytes(content or b""), recipients=list(envelope.rcpt_tos), now_ns=time.time_ns()
        )
        return "250 Kept, and delivered to nobody"


def make_protocol(mailbox: Mailbox) -> SMTP:
    """Return the protocol of one connection."""
    return SMTP(Taker(mailbox), data_size_limit=MAX_BYTES, enable_SMTPUTF8=True, hostname="sandbox")
