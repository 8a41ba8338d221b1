"""Balances that top themselves up with a saved card."""
