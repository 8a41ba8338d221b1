"""The address that Stripe posts its events to."""

from django.urls import path

from billing.webhooks import stripe_webhook

urlpatterns = [
    path("billing/stripe/webhook", stripe_webhook, name="stripe-webhook"),
]
