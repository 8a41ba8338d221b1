"""Acme, which Alice founded, with a member of each role."""

import pytest
from django.core.cache import cache

from accounts.models import User
from tests.teams import Crew, confirm, make_crew


@pytest.fixture
def acme(alice: User) -> Crew:
    # Invitations are counted in the cache.
    cache.clear()
    return make_crew("Acme", confirm(alice))
