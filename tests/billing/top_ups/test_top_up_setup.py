"""What a customer agrees to is stored, the card is saved at Stripe, and both can be taken back."""

from typing import Any

import pytest
import stripe
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from accounts.languages import keep_language
from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.exceptions import MissingReason, TooManyCards, TopUpRefused
from billing.models import AutoTopUp, Pack, TopUpConsent
from billing.orders.top_up_orders import top_up_due
from billing.top_ups.agreement import (
    CONSENT_VERSION,
    Terms,
    agree,
    get_top_up,
    switch_off_by_customer,
    switch_off_by_staff,
)
from billing.top_ups.cards import finish_setup, remove_card, start_setup
from billing.top_ups.switch import OffReason, State
from tests.billing.payments.conftest import hear
from tests.billing.top_ups.conftest import DECLINED_LATER, TERMS, SaveCard
from tests.racing import before_statement
from tests.stripe_sandbox import Sandbox

FORM = {
    "offer": "starter:usd:900:1000000:30",
    "threshold_credits": "200000",
    "ceiling": "30.00",
    "words": CONSENT_VERSION,
}
PAGE = "/dashboard/top-up/"


def cards_of(sandbox: Sandbox, top_up: AutoTopUp) -> list[str]:
    found = sandbox.client.v1.customers.payment_methods.list(top_up.stripe_customer_id)
    return [method.id for method in found.data]


def test_the_consent_is_stored_with_its_words_terms_and_address(alice: User, pack: Pack) -> None:
    agree(own_seat(alice), TERMS, address="192.0.2.7")

    given = TopUpConsent.objects.get()
    assert (given.version, given.address) == (CONSENT_VERSION, "192.0.2.7")
    assert "without asking me each time" in given.text
    assert (given.amount_cents, given.credits) == (900, 1_000_000)
    assert (given.threshold_credits, given.monthly_ceiling_cents) == (200_000, 3_000)


def test_a_german_customer_reads_and_agrees_to_german_words(
    alice: User, pack: Pack, as_alice: Client
) -> None:
    keep_language(alice, "de")
    shown = as_alice.get(PAGE).content.decode()
    english = as_alice.post(PAGE, {**FORM, "agrees": "on"})
    german = as_alice.post(PAGE, {**FORM, "words": f"{CONSENT_VERSION}-de", "agrees": "on"})

    assert "ohne mich jedes Mal zu fragen" in shown
    assert (english.status_code, german.status_code) == (400, 302)
    given = TopUpConsent.objects.get()
    assert given.version == f"{CONSENT_VERSION}-de"
    assert "ohne mich jedes Mal zu fragen" in given.text


def test_nothing_is_bought_before_a_card_is_saved(alice: User, pack: Pack) -> None:
    agree(own_seat(alice), TERMS)

    assert get_top_up(own_team(alice)).state == State.WAITING
    assert top_up_due() == 0


@pytest.mark.parametrize(
    "terms",
    [
        Terms("starter", "usd", threshold_credits=0, monthly_ceiling_cents=3_000),
        Terms("starter", "usd", threshold_credits=1_000_001, monthly_ceiling_cents=3_000),
        Terms("starter", "usd", threshold_credits=200_000, monthly_ceiling_cents=899),
        Terms("starter", "usd", threshold_credits=200_000, monthly_ceiling_cents=10**13),
    ],
)
def test_it_refuses_terms_that_make_no_sense(terms: Terms, alice: User, pack: Pack) -> None:
    with pytest.raises(TopUpRefused):
        agree(own_seat(alice), terms)

    assert not TopUpConsent.objects.exists()


def test_it_is_not_offered_where_checkout_works_out_the_tax(
    alice: User, pack: Pack, settings: Settings
) -> None:
    settings.STRIPE_AUTOMATIC_TAX = True

    with pytest.raises(TopUpRefused):
        agree(own_seat(alice), TERMS)


def test_the_database_refuses_to_be_on_without_a_card(alice: User) -> None:
    top_up = get_top_up(own_team(alice))

    with pytest.raises(IntegrityError, match="consent_and_card"), transaction.atomic():
        AutoTopUp.objects.filter(pk=top_up.pk).update(state=State.ON)


def test_saving_a_card_switches_it_on(top_up: AutoTopUp) -> None:
    assert top_up.is_on
    assert top_up.card_label == "Visa ending in 4242"


def test_the_page_for_the_card_speaks_the_readers_language(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    agree(own_seat(alice), TERMS)

    with translation.override("de"):
        start_setup(own_seat(alice))

    session_id = get_top_up(own_team(alice)).stripe_setup_session_id
    assert sandbox.session(session_id).locale == "de"


def test_the_webhook_alone_takes_up_the_card(alice: User, pack: Pack, sandbox: Sandbox) -> None:
    agree(own_seat(alice), TERMS)
    start_setup(own_seat(alice))
    session_id = get_top_up(own_team(alice)).stripe_setup_session_id
    sandbox.pay(session_id)

    hear("checkout.session.completed", session_id, mode="setup")

    assert get_top_up(own_team(alice)).is_on


def test_a_set_up_that_was_overtaken_changes_nothing(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    agree(own_seat(alice), TERMS)
    start_setup(own_seat(alice))
    first = get_top_up(own_team(alice)).stripe_setup_session_id
    start_setup(own_seat(alice))
    sandbox.pay(first)

    assert not finish_setup(first)

    assert get_top_up(own_team(alice)).state == State.WAITING


@pytest.mark.parametrize(
    "lie", [{"livemode": True}, {"customer": "cus_of_bob"}, {"metadata": {"top_up_id": "of Bob"}}]
)
def test_a_set_up_that_is_not_ours_saves_no_card(
    lie: dict[str, object], alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    agree(own_seat(alice), TERMS)
    start_setup(own_seat(alice))
    session_id = get_top_up(own_team(alice)).stripe_setup_session_id
    sandbox.pay(session_id)
    sandbox.tamper(session_id, **lie)

    assert not finish_setup(session_id)

    assert get_top_up(own_team(alice)).state == State.WAITING


def test_a_set_up_that_is_overtaken_while_it_is_read_saves_no_card(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    agree(own_seat(alice), TERMS)
    start_setup(own_seat(alice))
    first = get_top_up(own_team(alice)).stripe_setup_session_id
    sandbox.pay(first)

    def overtake() -> None:
        AutoTopUp.objects.update(stripe_setup_session_id="cs_test_second")

    with before_statement("FOR UPDATE", overtake):
        assert not finish_setup(first)

    assert get_top_up(own_team(alice)).stripe_setup_session_id == "cs_test_second"
    assert get_top_up(own_team(alice)).state == State.WAITING


def test_a_late_set_up_does_not_switch_on_what_was_switched_off(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    agree(own_seat(alice), TERMS)
    start_setup(own_seat(alice))
    session_id = get_top_up(own_team(alice)).stripe_setup_session_id
    sandbox.pay(session_id)
    switch_off_by_customer(own_seat(alice))

    assert not finish_setup(session_id)

    assert get_top_up(own_team(alice)).state == State.OFF


def test_a_new_card_replaces_the_old_one_at_stripe(
    alice: User, top_up: AutoTopUp, save_card: SaveCard, sandbox: Sandbox
) -> None:
    changed = save_card(alice)

    assert changed.stripe_payment_method_id != top_up.stripe_payment_method_id
    assert cards_of(sandbox, changed) == [changed.stripe_payment_method_id]


def test_removing_the_card_switches_off_and_forgets_it_at_stripe(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    remove_card(own_team(alice))
    remove_card(own_team(alice))

    now = get_top_up(own_team(alice))
    assert (now.state, now.stripe_payment_method_id, now.card_label) == (State.OFF, "", "")
    assert cards_of(sandbox, top_up) == []
    assert top_up_due() == 0


def test_a_card_that_is_removed_is_not_switched_on_meanwhile(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stripe.RequestsClient.request

    def switch_on_first(self: stripe.RequestsClient, method: str, url: str, *args: Any) -> Any:
        if url.endswith("/detach"):
            agree(own_seat(alice), TERMS)
        return request(self, method, url, *args)

    monkeypatch.setattr(stripe.RequestsClient, "request", switch_on_first)

    remove_card(own_team(alice))

    now = get_top_up(own_team(alice))
    assert (now.state, now.off_reason) == (State.OFF, OffReason.CUSTOMER)
    assert (now.stripe_payment_method_id, cards_of(sandbox, top_up)) == ("", [])


def test_staff_switch_it_off_with_a_reason(alice: User, bob: User, top_up: AutoTopUp) -> None:
    with pytest.raises(MissingReason):
        switch_off_by_staff(top_up, actor=bob, reason="  ")

    switch_off_by_staff(top_up, actor=bob, reason="Asked by phone")

    now = get_top_up(own_team(alice))
    assert (now.state, now.off_reason) == (State.OFF, OffReason.STAFF)
    assert now.off_detail == "Asked by phone (bob@example.com)"


# --- The pages


def test_a_customer_sets_it_up_and_is_led_to_stripe(
    alice: User, pack: Pack, as_alice: Client, sandbox: Sandbox
) -> None:
    answer = as_alice.post(PAGE, {**FORM, "agrees": "on"})

    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{sandbox.url}/c/pay/cs_test_")
    assert TopUpConsent.objects.get().address == "127.0.0.1"


def test_the_way_back_from_stripe_switches_it_on(
    alice: User, pack: Pack, as_alice: Client, sandbox: Sandbox
) -> None:
    as_alice.post(PAGE, {**FORM, "agrees": "on"})
    session_id = get_top_up(own_team(alice)).stripe_setup_session_id
    sandbox.pay(session_id)

    answer = as_alice.get(f"{PAGE}saved/?session_id={session_id}", follow=True)

    assert "Visa ending in 4242 is saved, and automatic top-up is on." in answer.content.decode()


def test_a_customer_saves_so_many_cards_an_hour(
    alice: User, bob: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_USER, settings.UNPAID_ORDERS_PER_ADDRESS = 2, 3
    for user in (alice, bob):
        agree(own_seat(user), TERMS)
    for _ in range(2):
        start_setup(own_seat(alice), address="192.0.2.7")

    with pytest.raises(TooManyCards):
        start_setup(own_seat(alice), address="192.0.2.99")
    start_setup(own_seat(bob), address="192.0.2.7")
    with pytest.raises(TooManyCards):
        start_setup(own_seat(bob), address="192.0.2.7")


def test_a_customer_has_cards_declined_so_often_an_hour(
    alice: User, attach_card: SaveCard, as_alice: Client, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_USER = 2
    attach_card(alice, turns=DECLINED_LATER)
    top_up_due()
    agree(own_seat(alice), TERMS)
    top_up_due()

    answer = as_alice.post(PAGE, {**FORM, "agrees": "on"})

    assert answer.status_code == 400
    assert "Too many charges were declined within an hour." in answer.content.decode()
    assert top_up_due() == 0


def test_the_page_says_that_too_many_cards_were_tried(
    alice: User, pack: Pack, as_alice: Client, sandbox: Sandbox, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_USER = 1
    as_alice.post(PAGE, {**FORM, "agrees": "on"})

    answer = as_alice.post(f"{PAGE}card/", follow=True)

    assert "Too many cards were tried within an hour" in answer.content.decode()


@pytest.mark.parametrize("session_id", ["", "cs_of_nobody", "../customers/cus_1"])
def test_a_way_back_that_nobody_came_from_shows_the_page(
    session_id: str, alice: User, bob: User, as_alice: Client, sandbox: Sandbox
) -> None:
    # Bob's has no session either, and is not to be found by none.
    get_top_up(own_team(bob))

    answer = as_alice.get(f"{PAGE}saved/?session_id={session_id}", follow=True)

    assert answer.status_code == 200
    assert "No card is saved yet." in answer.content.decode()
    assert "payment service" not in answer.content.decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"agrees": ""}, "Without your consent nothing can be charged."),
        ({"ceiling": "8.99"}, "The monthly limit must be enough for one pack."),
        ({"ceiling": "30.001"}, "has more decimal places than USD does"),
        ({"threshold_credits": "1000001"}, "a level of at most the pack"),
        ({"offer": "gold:usd:900:1000000:None"}, "That offer has changed."),
        ({"words": "2020-01-01"}, "What you agree to has new words."),
    ],
)
def test_it_says_what_is_wrong_and_keeps_nothing(
    change: dict[str, str], words: str, alice: User, pack: Pack, as_alice: Client
) -> None:
    answer = as_alice.post(PAGE, {**FORM, "agrees": "on", **change})

    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not TopUpConsent.objects.exists()


@pytest.mark.parametrize(
    "change", [{"price_cents": 901}, {"credits": 999_999}, {"validity_days": 7}]
)
def test_nobody_agrees_to_an_offer_that_was_not_shown(
    change: dict[str, int], alice: User, pack: Pack, as_alice: Client
) -> None:
    shown = as_alice.get(PAGE).content.decode()
    assert FORM["offer"] in shown
    assert f'name="words" value="{CONSENT_VERSION}"' in shown
    Pack.objects.filter(pk=pack.pk).update(**change)

    answer = as_alice.post(PAGE, {**FORM, "agrees": "on"})

    assert answer.status_code == 400
    assert "That offer has changed. Please choose again." in answer.content.decode()
    assert not TopUpConsent.objects.exists()


def test_the_offer_that_was_agreed_to_is_chosen_in_the_form(
    top_up: AutoTopUp, as_alice: Client
) -> None:
    page = " ".join(as_alice.get(PAGE).content.decode().split())

    assert f'<option value="{FORM["offer"]}" selected>' in page


def test_a_change_of_terms_is_a_new_consent(
    alice: User, top_up: AutoTopUp, as_alice: Client
) -> None:
    as_alice.post(PAGE, {**FORM, "ceiling": "18.00", "agrees": "on"})

    now = get_top_up(own_team(alice))
    assert (now.is_on, now.monthly_ceiling_cents) == (True, 1_800)
    assert TopUpConsent.objects.count() == 2


def test_a_customer_switches_it_off_and_removes_the_card(
    alice: User, top_up: AutoTopUp, as_alice: Client
) -> None:
    as_alice.post(f"{PAGE}off/")
    assert get_top_up(own_team(alice)).state == State.OFF
    assert get_top_up(own_team(alice)).card_label == "Visa ending in 4242"

    as_alice.post(f"{PAGE}remove/")

    assert get_top_up(own_team(alice)).card_label == ""


def test_another_customer_s_set_up_is_not_shown(alice: User, bob: User, top_up: AutoTopUp) -> None:
    client = Client()
    client.force_login(bob)

    page = client.get(PAGE).content.decode()

    assert "4242" not in page
    assert "Continue and save a card" in page


@pytest.mark.parametrize(("path", "status"), [("card/", 302), ("off/", 405), ("remove/", 405)])
def test_nothing_changes_by_following_a_link(path: str, status: int, as_alice: Client) -> None:
    answer = as_alice.get(f"{PAGE}{path}")

    assert answer.status_code == status
    assert answer.get("Location", PAGE) == PAGE


def test_the_dashboard_says_why_it_was_switched_off(
    alice: User, top_up: AutoTopUp, as_alice: Client
) -> None:
    AutoTopUp.objects.update(
        state=State.OFF, off_reason=OffReason.DECLINED, off_at="2027-01-01T00:00Z"
    )

    for path in ("/dashboard/", PAGE):
        page = as_alice.get(path).content.decode()
        assert "Automatic top-up was switched off" in page
        assert "Your card was declined" in page


def test_the_page_lists_the_top_ups_and_what_was_spent(
    alice: User, top_up: AutoTopUp, as_alice: Client
) -> None:
    top_up_due()

    page = as_alice.get(PAGE).content.decode()

    assert "$9.00 of $30.00" in " ".join(page.split())
    assert "Paid" in page


# --- The desk


def test_staff_switch_it_off_at_the_desk(alice: User, top_up: AutoTopUp) -> None:
    staff = User.objects.create_superuser("staff@example.com", "correct horse battery")
    client = Client()
    client.force_login(staff)
    url = f"/admin/billing/autotopup/do/switch-off/?ids={top_up.pk}"
    assert client.get(f"/admin/billing/autotopup/{top_up.pk}/change/").status_code == 200

    client.post(url, {"reason": "Asked by phone"})

    assert get_top_up(own_team(alice)).off_reason == OffReason.STAFF
    assert client.get("/admin/billing/topupconsent/").status_code == 200
