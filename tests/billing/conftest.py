"""A till on Alice's wallet."""

import pytest

from accounts.models import User
from tests.billing.wallet.shop import Till


@pytest.fixture
def till(alice: User, django_capture_on_commit_callbacks: object) -> Till:
    """Alice's wallet, a key and a price of one credit per token."""
    return Till(alice)
