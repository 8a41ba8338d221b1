"""Each form of the site with values that are right in it."""

from billing.top_ups.agreement import CONSENT_VERSION
from tests.accounts.sign_up import PASSWORD

KEY = {
    "lifetime": "",
    "requests_per_minute": "",
    "tokens_per_minute": "",
    "concurrent_requests": "",
    "lifetime_cap_credits": "",
    "monthly_cap_credits": "",
    "models_scope": "",
    "allowed_models": "",
    "networks_scope": "",
    "allowed_networks": "",
}
WEBHOOK = {
    "url": "https://example.com/hook",
    "form": "json",
    "kinds": "key.made",
    "low_balance_credits": "100",
}
# Each form's page, and what is right in it. A test below finds what is missing here.
FORMS: dict[str, dict[str, str]] = {
    "/accounts/signup/": {"email": "dora@example.com", "password1": PASSWORD, "next": "/"},
    "/accounts/login/": {"login": "alice@example.com", "password": "wrong", "next": "/"},
    "/accounts/password/reset/": {"email": "alice@example.com"},
    "/accounts/password/change/": {
        "oldpassword": "wrong",
        "password1": "another one 77",
        "password2": "another one 77",
    },
    "/accounts/reauthenticate/": {"password": "wrong"},
    "/accounts/email/": {"email": "new@example.com", "action_add": ""},
    "/accounts/2fa/totp/activate/": {"code": "000000"},
    "/accounts/2fa/webauthn/add/": {"name": "Key", "credential": "{}", "passwordless": ""},
    "/accounts/2fa/webauthn/login/": {"credential": "{}", "next": "/"},
    "/accounts/2fa/webauthn/reauthenticate/": {"credential": "{}"},
    "/accounts/2fa/authenticate/": {"code": "000000"},
    "/accounts/2fa/reauthenticate/": {"code": "000000"},
    "/accounts/sessions/": {"session": "1"},
    "/dashboard/keys/new/": {
        "name": "Laptop",
        **KEY,
    },
    "/dashboard/keys/{key}/": {"name": "Laptop", **KEY},
    "/dashboard/keys/{key}/rotate/": {"overlap": "24"},
    "/dashboard/redeem/": {"code": "ABCD"},
    "/dashboard/settings/notifications/": {
        "low_balance_credits": "100",
        "wants_low_balance": "on",
        "wants_lot_expiring": "on",
        "wants_top_up_succeeded": "on",
        "wants_monthly_summary": "on",
        "webhooks": "",
        "shown": "",
    },
    "/dashboard/settings/company/": {
        "name": "Acme",
        "street": "1 Main Street",
        "postal_code": "12345",
        "city": "Berlin",
        "country": "DE",
        "tax_id": "DE123456789",
    },
    "/dashboard/settings/webhooks/new/": WEBHOOK,
    "/dashboard/settings/webhooks/{key}/": WEBHOOK,
    "/dashboard/settings/profile/": {"language": "de", "time_zone": "Europe/Berlin"},
    "/status/subscribe/": {"email": "reader@example.net", "models": "gpt-4"},
    "/language/": {"language": "de", "next": "/packs/"},
    "/dashboard/top-up/": {
        "offer": "small:usd:900:1000:None",
        "threshold_credits": "100",
        "ceiling": "30",
        "agrees": "on",
        "words": CONSENT_VERSION,
    },
    "/dashboard/settings/delete/": {"email": "nobody@example.com"},
    "/dashboard/orders/{order}/refund/": {"key": "x"},
    "/dashboard/team/new/": {"name": "Acme"},
    "/dashboard/team/rename/": {"name": "Acme"},
    "/dashboard/team/close/": {"name": "Acme"},
    "/dashboard/team/invitations/": {"email": "new@example.com", "role": "admin"},
    "/dashboard/team/members/{seat}/caps/": {
        "monthly_cap_credits": "5",
        "lifetime_cap_credits": "",
    },
    "/dashboard/team/members/{seat}/role/": {"role": "admin"},
    "/dashboard/team/members/{seat}/remove/": {"keys": "end"},
    "/billing/checkout/nothing/": {"currency": "usd"},
    "/billing/checkout/small/": {"credits": "1"},
    "/billing/checkout-amount/": {"quote": "usd:1000:1:never"},
}
VISITORS = (
    "/accounts/signup/",
    "/accounts/login/",
    "/accounts/password/reset/",
    "/accounts/2fa/webauthn/login/",
    "/accounts/2fa/authenticate/",
    "/status/subscribe/",
)
