"""A wallet, and ways to break its Redis: those of the money's own tests."""

from tests.billing.conftest import faults, till

__all__ = ["faults", "till"]
