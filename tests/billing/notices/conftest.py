"""What was mailed, read as a customer reads it."""

from collections.abc import Callable
from typing import cast

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives

from accounts.models import User
from billing.models import Order
from billing.notices.outbox import send_due_notices
from tests.desk import make_order

Mailbox = Callable[[], list[EmailMultiAlternatives]]


@pytest.fixture
def mailbox(db: None) -> Mailbox:
    """Let the sweep send what is due, and return all that was sent so far."""

    def read() -> list[EmailMultiAlternatives]:
        send_due_notices()
        return cast(list[EmailMultiAlternatives], mail.outbox)

    return read


@pytest.fixture
def order(alice: User) -> Order:
    """1,000 credits for $9.00, paid and credited."""
    return make_order(alice, receipt_url="https://pay.stripe.com/receipts/1")
