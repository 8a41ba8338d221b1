"""Commands that change something: what was run, and by whom, is in the audit trail.

The line is written first: a command that can't be recorded does nothing. A second line says if it
failed.
"""

import getpass
import os
from typing import Any, ClassVar

from django.core.management.base import BaseCommand

from accounts.audit import Doer, Said, write_line
from accounts.models import User

ADDRESS = "email"
RAN, FAILED = "Ran a command", "A command failed"


class RecordedCommand(BaseCommand):
    """A command whose run is recorded, with these options of it and no others."""

    recorded: ClassVar[tuple[str, ...]] = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        self._record(RAN, options)
        try:
            return super().execute(*args, **options)
        except Exception:
            self._record(FAILED, options)
            raise

    def _record(self, deed: str, options: dict[str, Any]) -> None:
        name = type(self).__module__.rpartition(".")[2]
        record_run(name, deed, {each: options.get(each) for each in self.recorded})


def record_run(name: str, deed: str = RAN, given: dict[str, Any] | None = None) -> None:
    """Write down that a command is run, by whom, and with which options."""
    options = dict(given or {})
    # Who is no customer yet can't be sealed, and so is not named.
    address = str(options.get(ADDRESS) or "").strip().lower()
    person = User.objects.filter(email=address).first() if address else None
    if person is None:
        options.pop(ADDRESS, None)
    words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in options.items() if value)
    doer = Doer(command=name, os_user=find_os_user())
    write_line(doer, deed, said=Said(name=name, words=words), person=person)


def find_os_user() -> str:
    """Return whom the operating system takes us for; their number if they have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
