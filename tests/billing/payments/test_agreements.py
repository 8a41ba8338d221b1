"""Whoever buys agrees to the legal texts in force, and that is kept with the order."""

import pytest
from django.test import Client

from accounts.legal import mark_of, publish, texts_to_agree
from accounts.models import Agreement, LegalText, User
from billing.models import Order, Pack
from tests.conftest import signed_in

CHECKOUT = "/billing/checkout/starter/"


@pytest.fixture
def as_alice(alice: User) -> Client:
    return signed_in(alice)


@pytest.fixture
def terms(db: None) -> LegalText:
    return publish(LegalText.objects.create(kind="terms", text="Words."))


def test_an_order_keeps_what_was_agreed_to(
    as_alice: Client, pack: Pack, terms: LegalText, alice: User
) -> None:
    page = as_alice.get(CHECKOUT).content.decode()
    assert f'name="texts" value="{terms.pk}"' in page

    # A double click makes one order, and one agreement.
    for _ in range(2):
        as_alice.post(CHECKOUT, {"agrees": "on", "texts": mark_of(texts_to_agree())})

    [order] = Order.objects.all()
    [kept] = Agreement.objects.all()
    assert (kept.user, kept.text, kept.occasion) == (alice, terms, "purchase")
    assert kept.reference == str(order.public_id)


@pytest.mark.parametrize("given", [{}, {"agrees": "on", "texts": "0"}, {"texts": "right"}])
def test_nothing_is_ordered_without_agreeing(
    as_alice: Client, pack: Pack, terms: LegalText, given: dict[str, str]
) -> None:
    texts = given.get("texts", "").replace("right", str(terms.pk))

    answer = as_alice.post(CHECKOUT, given | {"texts": texts}, follow=True)

    assert "Nothing was ordered." in answer.content.decode()
    assert answer.redirect_chain[-1][0] == CHECKOUT
    assert not Order.objects.exists()


def test_without_published_terms_nothing_is_asked(as_alice: Client, pack: Pack) -> None:
    assert 'name="agrees"' not in as_alice.get(CHECKOUT).content.decode()

    as_alice.post(CHECKOUT)

    assert Order.objects.count() == 1
    assert not Agreement.objects.exists()
