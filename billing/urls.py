"""URLs of the storefront, the dashboard, the checkout and the webhook."""

from django.contrib.sitemaps.views import sitemap
from django.urls import path

from billing.orders.documents import INVOICE, RECEIPT
from billing.views import (
    checkout,
    docs,
    keys,
    leaving,
    notifications,
    orders,
    overview,
    redeem,
    statements,
    storefront,
    stripe_webhook,
    top_up,
    usage,
)

urlpatterns = [
    path("", storefront.home, name="home"),
    path("favicon.ico", storefront.favicon),
    path("robots.txt", storefront.robots, name="robots"),
    path("sitemap.xml", sitemap, {"sitemaps": {"": storefront.PublicPages}}, name="sitemap"),
    path("packs/", storefront.packs, name="packs"),
    path("models/", storefront.models, name="models"),
    path("models/<path:name>/", storefront.model, name="model"),
    path("docs/", docs.docs, name="docs"),
    path("dashboard/", overview.dashboard, name="dashboard"),
    path("dashboard/keys/", keys.keys, name="dashboard-keys"),
    path("dashboard/keys/new/", keys.key_create, name="dashboard-key-create"),
    path("dashboard/keys/<int:key_id>/", keys.key_edit, name="dashboard-key"),
    path("dashboard/keys/<int:key_id>/rotate/", keys.key_rotate, name="dashboard-key-rotate"),
    path(
        "dashboard/keys/<int:key_id>/end-rotation/",
        keys.key_end_rotation,
        name="dashboard-key-end-rotation",
    ),
    path("dashboard/keys/<int:key_id>/revoke/", keys.key_revoke, name="dashboard-key-revoke"),
    path("dashboard/usage/", usage.usage, name="dashboard-usage"),
    path("dashboard/usage/<slug:request_id>/", usage.receipt, name="dashboard-receipt"),
    path("dashboard/orders/", orders.orders, name="dashboard-orders"),
    path("dashboard/orders/<uuid:public_id>/", orders.order, name="dashboard-order"),
    path(
        "dashboard/orders/<uuid:public_id>/receipt/",
        orders.order_document,
        {"kind": RECEIPT},
        name="dashboard-order-receipt",
    ),
    path(
        "dashboard/orders/<uuid:public_id>/invoice/",
        orders.order_document,
        {"kind": INVOICE},
        name="dashboard-order-invoice",
    ),
    path("dashboard/redeem/", redeem.redeem, name="dashboard-redeem"),
    path("dashboard/top-up/", top_up.top_up, name="dashboard-top-up"),
    path("dashboard/top-up/card/", top_up.save_card, name="dashboard-top-up-card"),
    path("dashboard/top-up/saved/", top_up.card_saved, name="dashboard-top-up-saved"),
    path("dashboard/top-up/off/", top_up.switch_off, name="dashboard-top-up-off"),
    path("dashboard/top-up/remove/", top_up.remove_card, name="dashboard-top-up-remove"),
    path("dashboard/statements/", statements.statements, name="dashboard-statements"),
    path(
        "dashboard/statements/<str:month>.<str:form>",
        statements.statement,
        name="dashboard-statement",
    ),
    path(
        "dashboard/orders/<uuid:public_id>/refund/",
        orders.order_refund,
        name="dashboard-order-refund",
    ),
    path(
        "dashboard/settings/notifications/",
        notifications.notifications,
        name="settings-notifications",
    ),
    path("dashboard/settings/data/", leaving.data, name="settings-data"),
    path("dashboard/settings/data/export/", leaving.export, name="settings-export"),
    path("dashboard/settings/delete/", leaving.delete, name="settings-delete"),
    path("accounts/deleted/", leaving.deleted, name="account-deleted"),
    path("billing/checkout/<slug:slug>/", checkout.checkout, name="checkout"),
    path("billing/stripe/webhook", stripe_webhook.stripe_webhook, name="stripe-webhook"),
    path("billing/return/", checkout.checkout_return, name="checkout-return"),
    path("billing/cancelled/<uuid:public_id>/", checkout.checkout_cancel, name="checkout-cancel"),
]
