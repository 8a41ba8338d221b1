"""Checks that the books add up. They report and repair nothing."""
