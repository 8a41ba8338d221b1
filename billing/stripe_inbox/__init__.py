"""Stripe's events, the ones that we missed, and what we ask Stripe afterwards."""
