"""The worker's sweeps. Celery finds the tasks of an app through this module."""

from billing.tasks import exports, margin, notices, stripe, top_ups, wallet, webhooks

__all__ = ["exports", "margin", "notices", "stripe", "top_ups", "wallet", "webhooks"]
