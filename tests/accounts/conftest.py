"""Browsers of people who may have no account yet."""

import pytest
from django.test import Client


@pytest.fixture
def as_charlie(db: None) -> Client:
    return Client()
