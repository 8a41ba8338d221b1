"""Sums of receipts by quarter of an hour, for every page that shows more than a few requests."""
