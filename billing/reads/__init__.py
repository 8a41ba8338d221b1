"""Aggregates for pages. Everything here reads; nothing writes."""
