"""Make the roles of staff."""

from typing import Any

from accounts.desk.commands import RecordedCommand
from accounts.desk.roles import BY_NAME, make_roles


class Command(RecordedCommand):
    """Make the groups of the desk's roles anew. Every migration does it, too."""

    help = "Make the desk's roles, with exactly the rights that they come with. Safe to repeat."

    def handle(self, **options: Any) -> None:
        for group in make_roles():
            count = group.permissions.count()
            self.stdout.write(f"{group.name} ({count} rights): {BY_NAME[group.name].purpose}")
