"""Mails of incidents, to whoever subscribed to the status page."""
