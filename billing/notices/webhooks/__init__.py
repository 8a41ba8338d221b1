"""Webhooks: what happens in a team, sent to addresses that its members chose."""
