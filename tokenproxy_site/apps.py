"""The admin, with this site's own desk in place of Django's."""

from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    default_site = "tokenproxy_site.desk.StaffSite"
