"""The worker's sweeps. Celery finds the tasks of an app through this module."""

from billing.tasks import notices, stripe, wallet

__all__ = ["notices", "stripe", "wallet"]
