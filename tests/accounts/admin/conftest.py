"""Alice is a customer. Carol may change users. Root may everything."""

import pytest
from django.test import Client

from accounts.models import User
from tests import desk


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice@example.com")


@pytest.fixture
def carol(db: None) -> Client:
    return desk.make_staff("carol@example.com", "accounts.view_user", "accounts.change_user")


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))
