#!/usr/bin/env python
"""Django's command line, for this site."""

import os
import sys
from typing import Any

from django.core.management import ManagementUtility

# Of Django: they give power, or let anything be done. Our own commands record themselves.
RECORDED = ("changepassword", "createsuperuser", "dbshell", "loaddata", "flush", "shell")


class Manage(ManagementUtility):
    """Runs a command, and writes down those that give power."""

    def fetch_command(self, subcommand: str) -> Any:
        command = super().fetch_command(subcommand)
        if subcommand in RECORDED and not {"-h", "--help"} & set(self.argv):
            from accounts.desk.commands import record_run

            record_run(subcommand)
        return command


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenproxy_site.settings")
    Manage(sys.argv).execute()
