"""API keys as the shop handles them."""
