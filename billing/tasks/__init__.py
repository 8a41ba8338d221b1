"""The worker's sweeps. Celery finds the tasks of an app through this module."""

from billing.tasks import notices, stripe, top_ups, wallet

__all__ = ["notices", "stripe", "top_ups", "wallet"]
