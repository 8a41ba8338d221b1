"""URLs of the site.

Not listed here: the /v1 API, which asgi.py mounts, and probes, which a middleware answers first.
"""

from django.contrib import admin
from django.urls import include, path

from accounts.views import AddressView, ConfirmAddressView, SignUpView
from tokenproxy_site.status import status

urlpatterns = [
    path("", include("billing.urls")),
    path("", include("proxy.site_urls")),
    path("status/", status, name="status"),
    path("accounts/signup/", SignUpView.as_view(), name="account_signup"),
    path("accounts/email/", AddressView.as_view(), name="account_email"),
    path(
        "accounts/confirm-email/<str:key>/",
        ConfirmAddressView.as_view(),
        name="account_confirm_email",
    ),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "billing.views.errors.bad_request"
handler500 = "billing.views.errors.server_error"
