"""Alice bought and called. Root may everything at the desk."""

import pytest
from django.test import Client

from accounts.models import User
from tests import desk


@pytest.fixture
def alice(db: None) -> desk.Buyer:
    return desk.make_customer("alice@example.com")


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))
