"""One search of the desk: whatever a customer tells leads to the thing, and to nobody else."""

from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import ApiKey
from accounts.secrets import make_secret
from accounts.teams.members import found_team
from billing.gifts.redeem_codes import BatchTerms, make_batch
from billing.ledger.wallets import get_wallet
from billing.models import Dispute, Order, Refund, StripeCustomer
from tests import desk

SEARCH = "/admin/search/"


def ask(browser: Client, term: str) -> str:
    """Return where the search leads; empty if it shows a list."""
    answer = browser.post(SEARCH, {"q": term})
    return answer.headers.get("Location", "")


@pytest.fixture
def named(alice: desk.Buyer) -> dict[str, str]:
    """What customers may tell of Alice's things, with the page of each."""
    secret, batch_terms = make_secret(), BatchTerms(name="Fair", credits=5, size=1)
    key = alice.key
    key.digest, key.hint = secret.digest, secret.hint
    key.save()
    before = make_secret()
    rotated = ApiKey.objects.create(
        team=alice.wallet.team,
        created_by=alice.user,
        name="Rotated",
        digest="a" * 64,
        hint="tp_live_Xy…zz",
        previous_digest=before.digest,
        previous_hint=before.hint,
        previous_expires_at=desk.just_now(),
    )
    Order.objects.update(stripe_payment_intent_id="pi_1", stripe_charge_id="ch_1")
    refund = Refund.objects.create(
        order=alice.order, amount_cents=5, stripe_refund_id="re_1", status="succeeded"
    )
    dispute = Dispute.objects.create(
        order=alice.order, stripe_dispute_id="dp_1", amount_cents=5, status="lost"
    )
    customer = StripeCustomer.objects.create(wallet=alice.wallet, stripe_customer_id="cus_1")
    event = desk.make_event("evt_1")
    batch, [code] = make_batch(batch_terms, actor=alice.user, once=uuid4())
    team = found_team(alice.user, "50%_of Acme").team
    acme = get_wallet(team)
    return {
        "50%_OF": desk.page_url(acme),
        str(team.public_id): desk.page_url(acme),
        alice.record.request_id: desk.page_url(alice.record),
        secret.text: desk.page_url(key),
        before.text: desk.page_url(rotated),
        str(alice.order.public_id): desk.page_url(alice.order),
        str(alice.order.stripe_session_id): desk.page_url(alice.order),
        "pi_1": desk.page_url(alice.order),
        "ch_1": desk.page_url(alice.order),
        "re_1": desk.page_url(refund),
        str(refund.public_id): desk.page_url(refund),
        "dp_1": desk.page_url(dispute),
        "cus_1": desk.page_url(customer),
        "evt_1": desk.page_url(event),
        code: desk.page_url(batch.codes.get()),
        "Fair": desk.page_url(batch),
        "gpt-test": desk.page_url(alice.record.price.model),
    }


def test_whatever_is_told_leads_to_the_thing(root: Client, named: dict[str, str]) -> None:
    assert {term: ask(root, term) for term in named} == named


def test_an_address_or_its_beginning_leads_to_the_customer(root: Client, alice: desk.Buyer) -> None:
    for term in ("alice@example.com", " Alice@Example", "ALICE@"):
        assert ask(root, term) == desk.page_url(alice.wallet)


def test_several_things_are_listed(root: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("alice@example.org")

    listed = root.post(SEARCH, {"q": "alice@"}).context["found"]

    assert [each.url for each in listed] == [desk.page_url(alice.wallet), desk.page_url(bob.wallet)]


def test_wildcards_are_letters(root: Client, alice: desk.Buyer) -> None:
    for term in ("%@", "_lice@example.com", "%", "__"):
        assert root.post(SEARCH, {"q": term}).context["found"] == []


def test_a_key_stands_in_no_address_and_on_no_page(root: Client, alice: desk.Buyer) -> None:
    unknown = make_secret().text

    page = root.post(SEARCH, {"q": unknown})
    typo = root.post(SEARCH, {"q": unknown[:-1]})
    in_address = root.get(SEARCH, {"q": "alice@example.com"})

    assert unknown not in page.content.decode()
    assert unknown[20:40] not in typo.content.decode()
    assert unknown[:12] in page.content.decode()
    assert not in_address.context["is_asked"]


def test_only_what_one_may_see_is_found(alice: desk.Buyer) -> None:
    carol = desk.make_staff("carol@example.com", "billing.view_order")

    assert ask(carol, str(alice.order.public_id)) == desk.page_url(alice.order)
    for term in ("alice@example.com", alice.record.request_id, "gpt-test"):
        assert carol.post(SEARCH, {"q": term}).context["found"] == []


def test_a_customer_can_not_search(alice: desk.Buyer) -> None:
    browser = desk.log_in(alice.user)

    answer = browser.post(SEARCH, {"q": "alice@example.com"})

    assert "/login/" in answer.headers["Location"]


@pytest.mark.parametrize("term", ["", " ", "\0", "x" * 5_000, "🦜", "\u202e", "9" * 400, "' OR 1"])
def test_nonsense_finds_nothing(root: Client, db: None, term: str) -> None:
    answer = root.post(SEARCH, {"q": term})

    assert (answer.status_code, answer.context["found"]) == (200, [])
