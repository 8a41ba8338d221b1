"""A charge that Stripe refuses ends the top-up and says so; what is gone there is made anew."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import stripe
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.models import AutoTopUp, InboxItem, Notice, Order, StripeCustomer
from billing.orders.reviews import close_reviewed
from billing.orders.top_up_orders import top_up_due
from billing.stripe_inbox.open_orders import check_open_orders
from billing.top_ups.agreement import agree, get_top_up
from billing.top_ups.cards import finish_setup, remove_card, start_setup
from billing.top_ups.switch import OffReason, State
from tests.billing.payments.conftest import posted
from tests.billing.top_ups.conftest import TERMS, SaveCard, intents, orders_of, succeeded
from tests.stripe_sandbox import PAYS, Sandbox


def sweep() -> None:
    Order.objects.update(next_check_at=timezone.now())
    check_open_orders()


def end_of(user: User) -> tuple[Any, ...]:
    """Return how a person's top-up stands, and what was mailed."""
    now = get_top_up(own_team(user))
    mailed = Notice.objects.filter(user=user).values_list("kind", flat=True)
    return now.state, now.off_reason, sorted(mailed)


def lose_customer(sandbox: Sandbox, top_up: AutoTopUp) -> None:
    sandbox.client.v1.customers.delete(top_up.stripe_customer_id)


def lose_card(sandbox: Sandbox, top_up: AutoTopUp) -> None:
    sandbox.client.v1.payment_methods.detach(top_up.stripe_payment_method_id)


def change_account(sandbox: Sandbox, top_up: AutoTopUp) -> None:
    sandbox.forget()


@pytest.mark.parametrize("lose", [lose_customer, lose_card, change_account])
def test_what_is_gone_at_stripe_ends_it_with_a_mail_and_is_made_anew(
    lose: Any, alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    lose(sandbox, top_up)

    top_up_due()

    assert orders_of(alice) == ["failed"]
    assert end_of(alice) == (State.OFF, OffReason.DECLINED, ["top_up_declined"])
    assert get_top_up(own_team(alice)).stripe_payment_method_id == ""
    # The customer tries again, from the terms on.
    assert agree(own_seat(alice), TERMS).state == State.WAITING
    start_setup(own_seat(alice))
    session_id = get_top_up(own_team(alice)).stripe_setup_session_id
    assert sandbox.pay(session_id) == 200
    assert finish_setup(session_id)
    assert top_up_due() == 1
    assert posted(alice) == 1_000_000


def test_a_customer_who_is_gone_before_a_card_is_saved_is_made_anew(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    lose_customer(sandbox, top_up)

    start_setup(own_seat(alice))

    session = sandbox.session(get_top_up(own_team(alice)).stripe_setup_session_id)
    assert session.customer == StripeCustomer.objects.get().stripe_customer_id
    assert session.customer != top_up.stripe_customer_id


def test_the_card_of_a_customer_who_is_gone_can_be_removed(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    lose_customer(sandbox, top_up)

    remove_card(own_team(alice))

    assert get_top_up(own_team(alice)).stripe_payment_method_id == ""


@pytest.mark.parametrize(
    ("error", "reason", "mail", "is_filed"),
    [
        (
            {"code": "payment_intent_incompatible_payment_method", "param": "payment_method"},
            OffReason.DECLINED,
            "top_up_declined",
            False,
        ),
        ({"code": "payment_method_not_available"}, OffReason.DECLINED, "top_up_declined", False),
        ({"code": "amount_too_small", "param": "amount"}, OffReason.FAULT, "top_up_off", True),
        ({}, OffReason.FAULT, "top_up_off", True),
    ],
)
def test_a_refusal_is_not_asked_for_again(  # noqa: PLR0917  # pytest names them
    error: dict[str, str],
    reason: str,
    mail: str,
    is_filed: bool,
    alice: User,
    top_up: AutoTopUp,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = refuse_charges(monkeypatch, 400, type="invalid_request_error", message="No.", **error)

    for _ in range(3):
        top_up_due()
        sweep()

    assert len(asked) == 1
    assert orders_of(alice) == ["failed"]
    assert end_of(alice) == (State.OFF, reason, [mail])
    assert InboxItem.objects.filter(kind="top_up_refused").exists() is is_filed


def test_a_decline_without_a_payment_ends_it_as_any_decline(
    alice: User, top_up: AutoTopUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    decline = {"code": "card_declined", "decline_code": "expired_card"}
    refuse_charges(monkeypatch, 402, type="card_error", message="No.", **decline)

    top_up_due()

    assert end_of(alice) == (State.OFF, OffReason.DECLINED, ["top_up_declined"])
    assert Notice.objects.get().facts["reason"] == "it has expired"
    assert get_top_up(own_team(alice)).stripe_payment_method_id == top_up.stripe_payment_method_id


def refuse_charges(monkeypatch: pytest.MonkeyPatch, status: int, **error: str) -> list[str]:
    """Have Stripe refuse every new payment. Returns the list of what was asked for."""
    asked: list[str] = []
    request = stripe.RequestsClient.request

    def refuse(self: stripe.RequestsClient, method: str, url: str, *args: Any) -> Any:
        if method == "post" and url.endswith("/v1/payment_intents"):
            asked.append(url)
            return json.dumps({"error": error}), status, {}
        return request(self, method, url, *args)

    monkeypatch.setattr(stripe.RequestsClient, "request", refuse)
    return asked


@contextmanager
def refused_rows(condition: str) -> Iterator[None]:
    """Have the database refuse orders, as a defect would."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE billing_order ADD CONSTRAINT refused CHECK ({condition})")
        yield
        cursor.execute("ALTER TABLE billing_order DROP CONSTRAINT refused")


def test_what_nobody_expected_ends_one_top_up_and_not_the_others(
    alice: User, bob: User, attach_card: SaveCard, sandbox: Sandbox
) -> None:
    attach_card(alice)
    attach_card(bob)
    with refused_rows(f"buyer_id <> {alice.pk}"):
        top_up_due()

    assert posted(bob) == 1_000_000
    assert end_of(alice) == (State.OFF, OffReason.FAULT, ["top_up_off"])
    assert InboxItem.objects.get().kind == "top_up_fault"


def test_an_answer_that_nobody_expected_switches_it_off_and_says_so(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    # Without an instant: whoever reads it fails.
    sandbox.tamper(sandbox.charge_id(intents(sandbox, top_up)[0]), created=None)

    for _ in range(2):
        sweep()

    assert end_of(alice) == (State.OFF, OffReason.FAULT, ["top_up_off"])
    assert InboxItem.objects.get().kind == "top_up_fault"
    assert orders_of(alice) == ["open"]


def test_one_in_review_since_before_an_upgrade_is_charged_no_more(
    alice: User, bob: User, top_up: AutoTopUp, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_LIVE_MODE = True
    top_up_due()
    # As the version before left it.
    AutoTopUp.objects.update(state=State.ON, off_reason="", off_detail="", off_at=None)
    Notice.objects.all().delete()

    for _ in range(3):
        top_up_due()

    assert len(succeeded(sandbox, top_up)) == 1
    assert end_of(alice) == (State.OFF, OffReason.UNCREDITED, ["top_up_off"])
    # Whatever a person decided meanwhile.
    close_reviewed(Order.objects.get(), actor=bob, reason="Looked at")
    AutoTopUp.objects.update(state=State.ON)
    top_up_due()
    assert len(succeeded(sandbox, top_up)) == 1
    assert agree(own_seat(alice), TERMS).is_on


def test_only_what_can_be_charged_without_its_owner_is_offered(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_setup(own_seat(alice))
    session_id = get_top_up(own_team(alice)).stripe_setup_session_id

    assert sandbox.session(session_id).payment_method_types == ["card", "us_bank_account"]
    # Stripe saved another kind all the same.
    sandbox.control(f"checkout/{session_id}/pay", card=PAYS)
    saved = sandbox.client.v1.checkout.sessions.retrieve(session_id, {"expand": ["setup_intent"]})
    assert isinstance(saved.setup_intent, stripe.SetupIntent)
    sandbox.tamper(str(saved.setup_intent.payment_method), type="paypal")

    assert not finish_setup(session_id)
    assert get_top_up(own_team(alice)).stripe_payment_method_id == top_up.stripe_payment_method_id


def test_the_dashboard_says_that_a_charge_met_an_error(
    as_alice: Client, alice: User, top_up: AutoTopUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_charges(monkeypatch, 400, type="invalid_request_error", message="No.")

    top_up_due()

    assert "met an error" in as_alice.get("/dashboard/top-up/").text
