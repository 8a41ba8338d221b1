"""API keys: the one place that changes them."""
