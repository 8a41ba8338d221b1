"""Addresses of the site. The /v1 API is mounted beside it, in asgi.py."""

from django.contrib import admin
from django.urls import include, path

from tokenproxy_site.health import healthz, readyz
from tokenproxy_site.metrics import metrics
from tokenproxy_site.status import status

urlpatterns = [
    path("", include("billing.urls")),
    path("", include("proxy.site_urls")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("status/", status, name="status"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "billing.views.errors.bad_request"
handler403 = "billing.views.errors.permission_denied"
handler404 = "billing.views.errors.page_not_found"
handler500 = "billing.views.errors.server_error"
