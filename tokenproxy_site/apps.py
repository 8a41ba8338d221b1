"""The admin, with this site's own desk in place of Django's, and the site's checks."""

from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    default_site = "tokenproxy_site.desk.StaffSite"

    def ready(self) -> None:
        """Register the site's checks, and do what Django's admin does."""
        super().ready()
        from tokenproxy_site import checks  # noqa: F401
