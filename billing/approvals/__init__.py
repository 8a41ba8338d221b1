"""Deeds of staff beyond their limits, which a second person approves."""
