"""The worker's sweeps. Celery finds the tasks of an app through this module."""

from billing.tasks import margin, notices, stripe, top_ups, wallet, webhooks

__all__ = ["margin", "notices", "stripe", "top_ups", "wallet", "webhooks"]
