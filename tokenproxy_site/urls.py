"""URLs of the site.

Not listed here: the /v1 API, which asgi.py mounts, and probes, which a middleware answers first.
"""

from django.contrib import admin
from django.contrib.sitemaps.views import sitemap
from django.urls import include, path, re_path

from accounts.teams.middleware import resume
from accounts.views import AddressView, ConfirmAddressView, SignUpView
from billing.views.account_pages import ChoosePasswordView, SessionsView
from tokenproxy_site.languages import choose_language
from tokenproxy_site.site_map import PublicPages
from tokenproxy_site.status import IncidentFeed, status
from tokenproxy_site.status_mails import confirm_subscription, subscribe, unsubscribe
from tokenproxy_site.style_guide import style_guide

urlpatterns = [
    path("", include("billing.urls")),
    path("", include("proxy.site_urls")),
    path("", include("tokenproxy_site.docs.urls")),
    path("", include("tokenproxy_site.legal_urls")),
    path("sitemap.xml", sitemap, {"sitemaps": {"": PublicPages}}, name="sitemap"),
    path("language/", choose_language, name="choose-language"),
    path("status/", status, name="status"),
    path("status/feed.atom", IncidentFeed(), name="status-feed"),
    path("status/subscribe/", subscribe, name="status-subscribe"),
    path("status/confirm/<str:signed>/", confirm_subscription, name="status-confirm"),
    path("status/unsubscribe/<str:signed>/", unsubscribe, name="status-unsubscribe"),
    path("accounts/signup/", SignUpView.as_view(), name="account_signup"),
    path("accounts/email/", AddressView.as_view(), name="account_email"),
    re_path(
        r"^accounts/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        ChoosePasswordView.as_view(),
        name="account_reset_password_from_key",
    ),
    path(
        "accounts/confirm-email/<str:key>/",
        ConfirmAddressView.as_view(),
        name="account_confirm_email",
    ),
    path("accounts/sessions/", SessionsView.as_view(), name="usersessions_list"),
    path("accounts/", include("allauth.urls")),
    path("teams/<uuid:public_id>/<path:rest>", resume),
    path("styleguide/", style_guide, name="style-guide"),
    path("admin/", admin.site.urls),
]

handler400 = "billing.views.errors.bad_request"
handler429 = "billing.views.errors.too_many_requests"
handler500 = "billing.views.errors.server_error"
