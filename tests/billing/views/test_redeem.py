"""The page where a code is redeemed."""

import uuid

import pytest
from django.test import Client

from accounts.models import User
from billing.gifts.redeem_codes import BatchTerms, make_batch, make_code
from tests.billing.payments.conftest import posted

PAGE = "/dashboard/redeem/"


@pytest.fixture
def code(bob: User) -> str:
    """Worth 500 credits."""
    terms = BatchTerms(name="Launch", credits=500, size=1)
    return make_batch(terms, actor=bob, once=uuid.uuid4())[1][0]


def test_a_code_is_redeemed_and_listed(as_alice: Client, alice: User, code: str) -> None:
    page = as_alice.post(PAGE, {"code": code}, follow=True).content.decode()

    assert "500 credits are in your balance." in page
    assert f"…{code[-4:]}" in page
    assert posted(alice) == 500


def test_the_second_time_it_says_why_not(as_alice: Client, alice: User, code: str) -> None:
    as_alice.post(PAGE, {"code": code})

    page = as_alice.post(PAGE, {"code": code}, follow=True).content.decode()

    assert "This code was used already" in page
    assert posted(alice) == 500


def test_a_wrong_code_is_told_and_soon_refused(as_alice: Client, code: str) -> None:
    pages = [
        as_alice.post(PAGE, {"code": make_code()}, follow=True).content.decode() for _ in range(11)
    ]

    assert "There is no such code" in pages[0]
    assert "Please try again in an hour" in pages[-1]


def test_nothing_typed_is_an_error_on_the_form(as_alice: Client) -> None:
    assert as_alice.post(PAGE, {"code": "  "}).status_code == 400


def test_another_customer_does_not_see_it(as_alice: Client, as_bob: Client, code: str) -> None:
    as_alice.post(PAGE, {"code": code})

    assert f"…{code[-4:]}" not in as_bob.get(PAGE).content.decode()
