"""The mails that came in: one file each, the newest few kept."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

MOST_KEPT = 500
ID = re.compile(r"\d{20}")


@dataclass(frozen=True)
class Mail:
    """One mail as it came over the wire, and whom the envelope named."""

    mail_id: str
    source: bytes

    @property
    def received_at(self) -> datetime:
        return datetime.fromtimestamp(int(self.mail_id) / 1e9, UTC)

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.source, policy=policy.default)

    @property
    def sender(self) -> str:
        return str(self.message["From"] or "")

    @property
    def recipients(self) -> str:
        # The envelope's; a blind copy is in no header.
        return str(self.message["X-Envelope-To"] or self.message["To"] or "")

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "(no subject)")

    @property
    def text(self) -> str:
        return self._body("plain")

    @property
    def html(self) -> str:
        return self._body("html")

    def _body(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        return str(part.get_content()) if part is not None else ""


class Mailbox:
    """A folder of mails. A mail's id is the nanosecond in which it came, so names sort by age."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, source: bytes, *, recipients: list[str], now_ns: int) -> Mail:
        """Keep a mail, and forget the oldest beyond the limit."""
        while self._path(f"{now_ns:020}").exists():
            now_ns += 1
        envelope = f"X-Envelope-To: {', '.join(recipients)}\r\n".encode()
        mail = Mail(f"{now_ns:020}", envelope + source)
        self._path(mail.mail_id).write_bytes(mail.source)
        for old in self._paths()[MOST_KEPT:]:
            old.unlink(missing_ok=True)
        return mail

    def read_all(self) -> list[Mail]:
        """Return what is kept, newest first."""
        return [Mail(path.stem, path.read_bytes()) for path in self._paths()]

    def find(self, mail_id: str) -> Mail | None:
        path = self._path(mail_id)
        if not ID.fullmatch(mail_id) or not path.is_file():
            return None
        return Mail(mail_id, path.read_bytes())

    def clear(self) -> None:
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.eml"), reverse=True)

    def _path(self, mail_id: str) -> Path:
        return self._folder / f"{mail_id}.eml"
