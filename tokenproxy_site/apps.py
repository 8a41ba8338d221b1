"""The admin, with this site's own desk in place of Django's, and the site's checks."""

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class StaffAdminConfig(AdminConfig):
    default_site = "tokenproxy_site.desk.StaffSite"

    def ready(self) -> None:
        """Register the site's checks, refresh the catalogues, and do what Django's admin does."""
        super().ready()
        from tokenproxy_site import catalogues, checks  # noqa: F401

        catalogues.refresh()

        # A signal of Django's: rights exist when all apps are migrated, and so do roles.
        post_migrate.connect(make_roles_last, dispatch_uid="desk roles")


def make_roles_last(sender: AppConfig, **given: Any) -> None:
    """Make roles when the last of the apps has been migrated: the desk's, and PostgreSQL's.

    New tables are closed to the role that serves, as far as they have to be, before it sees them.
    """
    from accounts.desk.roles import make_roles
    from billing.upkeep.database_roles import restrict_serving_role

    if sender.name == list(apps.get_app_configs())[-1].name:
        make_roles()
        restrict_serving_role()
