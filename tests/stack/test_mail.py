"""What a customer finds in the mailbox, with the worker and a real SMTP server in between."""

from collections.abc import Iterator

import httpx
import pytest

from devstack.stack import Stack
from tests.stack.visitor import Visitor
from tests.waiting import await_true

pytestmark = pytest.mark.stack

EMAIL = "reads-her-mail@example.com"


@pytest.fixture
def dora(stack: Stack) -> Iterator[Visitor]:
    """Dora has just signed up."""
    dora = Visitor(stack)
    dora.sign_up(EMAIL)
    yield dora
    dora.close()


def subjects(stack: Stack) -> list[str]:
    """Return what Dora was mailed, newest first."""
    mails = httpx.get(f"{stack.mail_url}/messages.json", trust_env=False).json()
    return [mail["subject"] for mail in mails if mail["to"] == EMAIL]


def test_an_order_is_mailed_after_the_verification(stack: Stack, dora: Visitor) -> None:
    dora.pay(dora.order("starter"))

    await_true(lambda: len(subjects(stack)) == 2, what="the receipt to be mailed")
    assert subjects(stack) == [
        "Receipt: 1,000,000 credits for $5.00",
        "Verify your e-mail address",
    ]
