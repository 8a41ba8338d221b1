"""Measurements and experiments on the product. Nothing here is a test, and nothing imports it."""
