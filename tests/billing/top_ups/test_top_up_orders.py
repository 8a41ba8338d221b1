"""A wallet below its level is topped up: once, within its ceiling, and only if it may be."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.ledger.wallets import adjust_credits, freeze_wallet, grant_credits, wallet_of
from billing.models import (
    AutoTopUp,
    InboxItem,
    LedgerEntry,
    Notice,
    Order,
    Pack,
    Promotion,
    TopUpPayment,
    Wallet,
)
from billing.orders.checkout import start_checkout
from billing.orders.top_up_orders import has_due_top_ups, top_up_due
from billing.orders.top_up_payments import fulfil_top_up
from billing.stripe_inbox.open_orders import check_open_orders
from billing.tasks.wallet import drain_events
from billing.top_ups.agreement import get_top_up, spent_this_month, switch_off_by_customer
from billing.top_ups.switch import OffReason, State
from tests.billing.payments.conftest import posted
from tests.billing.top_ups.conftest import (
    ASKS_ALWAYS,
    BANK,
    DECLINED_LATER,
    SaveCard,
    credited,
    intents,
    orders_of,
    succeeded,
)
from tests.promotions import make_promotion
from tests.racing import before_statement, race
from tests.stripe_sandbox import Sandbox
from tests.till import Till, in_a_thread


def sweep() -> None:
    """Let the sweep over open orders look at all of them now."""
    Order.objects.update(next_check_at=timezone.now())
    check_open_orders()


def sweep_looks_at(intent_id: str) -> None:
    """Let the sweep find this payment of the only order."""
    Order.objects.update(stripe_payment_intent_id=intent_id)
    sweep()


def kinds_told(user: User) -> set[str]:
    return set(Notice.objects.filter(user=user).values_list("kind", flat=True))


def test_it_buys_a_pack_when_the_balance_is_below_the_level(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    grant_credits(wallet_of(alice), credits=199_999, reason="A gift")

    assert top_up_due() == 1

    assert posted(alice) == 199_999 + 1_000_000
    assert orders_of(alice) == ["fulfilled"]
    assert len(succeeded(sandbox, top_up)) == 1
    assert kinds_told(alice) == {"purchase", "top_up_succeeded"}


def test_it_has_the_bonus_of_a_promotion_that_runs_and_the_consent_stays_as_it_was(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    promotion = make_promotion(bonus_percent=20)
    assert top_up_due() == 1
    adjust_credits(wallet_of(alice), amount_credits=-1_100_000, actor=alice, reason="Spent")
    drain_events()
    Promotion.objects.update(ends_at=timezone.now())

    assert top_up_due() == 1

    with_bonus, without = Order.objects.filter(channel=Order.Channel.TOP_UP).order_by("pk")
    assert (with_bonus.credits, with_bonus.promotion) == (1_200_000, promotion)
    assert (without.credits, without.promotion) == (1_000_000, None)
    assert credited(alice) == 2_200_000


def test_it_waits_for_the_next_sweep_if_a_promotion_is_hidden_as_it_orders(
    alice: User, top_up: AutoTopUp
) -> None:
    make_promotion(bonus_percent=20)

    def hide() -> None:
        Promotion.objects.update(is_shown=False)

    with before_statement('"billing_promotion"."id" =', lambda: in_a_thread(hide)):
        assert top_up_due() == 0
    top_up.refresh_from_db()
    assert top_up.is_on

    assert top_up_due() == 1
    assert credited(alice) == 1_000_000


def test_it_buys_nothing_at_the_level(alice: User, top_up: AutoTopUp) -> None:
    grant_credits(wallet_of(alice), credits=200_000, reason="A gift")

    assert not has_due_top_ups()
    assert top_up_due() == 0


def test_it_buys_once_however_often_the_sweep_runs(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    for _ in range(3):
        top_up_due()

    assert posted(alice) == 1_000_000
    assert len(intents(sandbox, top_up)) == 1


def test_it_buys_once_when_sweeps_run_at_once(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    def sweep_apart(_: int) -> int:
        try:
            return top_up_due()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(sweep_apart, range(4))) == 1

    assert posted(alice) == 1_000_000
    assert len(succeeded(sandbox, top_up)) == 1


def test_two_sweeps_that_find_the_same_wallet_make_one_order_of_it(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    made = race([top_up_due, top_up_due], meet_at='INSERT INTO "billing_order"')

    assert sorted(made) == [0, 1]
    assert posted(alice) == 1_000_000
    assert len(succeeded(sandbox, top_up)) == 1


def test_it_orders_nothing_that_was_switched_off_since_the_sweep_looked(
    alice: User, top_up: AutoTopUp
) -> None:
    with before_statement("FOR NO KEY UPDATE", lambda: switch_off_by_customer(own_seat(alice))):
        assert top_up_due() == 0

    assert orders_of(alice) == []


def test_the_database_refuses_a_second_open_top_up(alice: User, top_up: AutoTopUp) -> None:
    def order() -> Order:
        return Order.objects.create(
            team=own_team(alice),
            buyer=alice,
            channel=Order.Channel.TOP_UP,
            pack_name="Starter",
            credits=1,
            amount_cents=1,
            currency="usd",
            expires_at=timezone.now(),
        )

    order()

    with pytest.raises(IntegrityError, match="one_top_up_is_open"), transaction.atomic():
        order()


def test_it_leaves_a_frozen_wallet_alone(alice: User, top_up: AutoTopUp) -> None:
    freeze_wallet(wallet_of(alice), reason="Looked at")

    assert top_up_due() == 0


def test_it_leaves_a_wallet_in_debt_alone(alice: User, top_up: AutoTopUp) -> None:
    wallet = wallet_of(alice)
    wallet.debt_credits = 1
    wallet.save()

    assert top_up_due() == 0


def test_it_charges_nobody_who_can_not_log_in_to_stop_it(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert top_up_due() == 0
    assert intents(sandbox, top_up) == []


def test_it_does_not_ask_for_what_was_ordered_before_the_customer_was_locked_out(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    top_up_due()
    settings.STRIPE_API_BASE = sandbox.url
    User.objects.filter(pk=alice.pk).update(is_active=False)

    sweep()

    assert orders_of(alice) == ["expired"]
    assert intents(sandbox, top_up) == []


def test_it_buys_nothing_where_tax_is_worked_out_by_checkout(
    alice: User, top_up: AutoTopUp, settings: Settings
) -> None:
    settings.STRIPE_AUTOMATIC_TAX = True

    assert top_up_due() == 0
    assert orders_of(alice) == []


def test_a_checkout_of_the_same_pack_is_an_order_of_its_own(
    alice: User, save_card: SaveCard, sandbox: Sandbox
) -> None:
    found = save_card(alice, method=BANK)
    top_up_due()
    assert orders_of(alice) == ["pending"]

    order = start_checkout(own_seat(alice), pack_slug="starter")

    assert order.channel == Order.Channel.CHECKOUT
    assert found.is_on


def test_a_declined_card_switches_it_off_and_tells_why(
    alice: User, save_card: SaveCard, sandbox: Sandbox
) -> None:
    found = save_card(alice, turns=DECLINED_LATER)

    top_up_due()

    now = get_top_up(own_team(alice))
    assert (now.state, now.off_reason) == (State.OFF, OffReason.DECLINED)
    assert orders_of(alice) == ["failed"]
    told = Notice.objects.get(user=alice)
    assert told.kind == Notice.Kind.TOP_UP_DECLINED
    assert told.facts["checkout_url"] == "http://testserver/billing/checkout/starter/?currency=usd"
    statuses = [
        sandbox.client.v1.payment_intents.retrieve(each).status for each in intents(sandbox, found)
    ]
    assert statuses == ["canceled"]
    assert top_up_due() == 0


def test_a_bank_that_asks_for_its_customer_switches_it_off_and_tells_where(
    alice: User, save_card: SaveCard
) -> None:
    save_card(alice, turns=ASKS_ALWAYS)

    top_up_due()

    now = get_top_up(own_team(alice))
    assert (now.state, now.off_reason) == (State.OFF, OffReason.AUTHENTICATION)
    told = Notice.objects.get(user=alice)
    assert told.kind == Notice.Kind.TOP_UP_ACTION
    assert told.facts["checkout_url"] == "http://testserver/billing/checkout/starter/?currency=usd"


@pytest.mark.parametrize(
    ("end", "status", "credits"), [("succeed", "fulfilled", 1_000_000), ("fail", "failed", 0)]
)
def test_a_bank_account_pays_or_fails_days_later(  # noqa: PLR0917  # pytest names them
    end: str, status: str, credits: int, alice: User, save_card: SaveCard, sandbox: Sandbox
) -> None:
    found = save_card(alice, method=BANK)
    top_up_due()
    assert orders_of(alice) == ["pending"]
    assert top_up_due() == 0

    sandbox.control(f"payment_intents/{intents(sandbox, found)[0]}/{end}")
    sweep()

    assert orders_of(alice) == [status]
    assert posted(alice) == credits
    assert get_top_up(own_team(alice)).is_on is bool(credits)


def test_a_new_card_stays_on_when_the_old_one_fails_late(
    alice: User, save_card: SaveCard, sandbox: Sandbox
) -> None:
    found = save_card(alice, method=BANK)
    top_up_due()
    intent_id = intents(sandbox, found)[0]
    save_card(alice)

    sandbox.control(f"payment_intents/{intent_id}/fail")
    sweep()

    assert orders_of(alice) == ["failed"]
    assert get_top_up(own_team(alice)).is_on
    assert kinds_told(alice) == set()


def test_it_asks_with_the_same_key_after_a_lost_answer(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    assert orders_of(alice) == ["open"]
    lost_answer.undo()

    sweep()

    assert orders_of(alice) == ["fulfilled"]
    assert posted(alice) == 1_000_000
    assert len(intents(sandbox, top_up)) == 1


def test_it_looks_and_does_not_ask_once_it_was_switched_off(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    switch_off_by_customer(own_seat(alice))

    sweep()

    assert posted(alice) == 1_000_000
    assert len(intents(sandbox, top_up)) == 1


def test_it_gives_up_what_stripe_never_heard_of_once_it_was_switched_off(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    top_up_due()
    settings.STRIPE_API_BASE = sandbox.url
    switch_off_by_customer(own_seat(alice))

    sweep()

    assert orders_of(alice) == ["expired"]
    assert intents(sandbox, top_up) == []


def test_it_does_not_charge_a_card_that_was_replaced(
    alice: User, top_up: AutoTopUp, save_card: SaveCard, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    top_up_due()
    settings.STRIPE_API_BASE = sandbox.url
    save_card(alice)

    sweep()
    assert (orders_of(alice), intents(sandbox, top_up)) == (["expired"], [])

    assert top_up_due() == 1
    assert len(succeeded(sandbox, top_up)) == 1


@pytest.mark.parametrize("change", [{"state": Wallet.State.FROZEN}, {"debt_credits": 1}])
def test_it_does_not_ask_for_a_wallet_that_was_stopped_since_it_was_ordered(
    change: dict[str, object],
    alice: User,
    top_up: AutoTopUp,
    sandbox: Sandbox,
    settings: Settings,
) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    top_up_due()
    settings.STRIPE_API_BASE = sandbox.url
    Wallet.objects.filter(team__person=alice).update(**change)

    sweep()

    assert (orders_of(alice), intents(sandbox, top_up)) == (["expired"], [])


def test_it_does_not_ask_again_when_the_key_is_forgotten(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()

    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=True):
        sweep()

    assert orders_of(alice) == ["fulfilled"]
    assert len(intents(sandbox, top_up)) == 1


def test_it_does_not_ask_for_the_first_time_once_the_key_would_be_forgotten(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    top_up_due()
    settings.STRIPE_API_BASE = sandbox.url

    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=True):
        sweep()

    assert (orders_of(alice), intents(sandbox, top_up)) == (["expired"], [])


def test_a_payment_that_waits_for_nobody_is_cancelled_after_a_day(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    top_up_due()
    settings.STRIPE_API_BASE = sandbox.url
    # As if Stripe had been asked to wait for a confirmation, which nobody gives.
    waiting = {**TopUpPayment.objects.get().request, "confirm": False}
    del waiting["off_session"]
    intent = sandbox.client.v1.payment_intents.create(waiting)  # type: ignore[arg-type]
    sweep_looks_at(intent.id)
    assert orders_of(alice) == ["open"]

    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=True):
        sweep()

    assert sandbox.client.v1.payment_intents.retrieve(intent.id).status == "canceled"
    assert orders_of(alice) == ["failed"]


def test_what_stripe_does_not_know_any_more_blocks_the_wallet_for_a_day_at_most(
    alice: User, top_up: AutoTopUp, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    Order.objects.update(stripe_payment_intent_id="pi_of_another_account")

    sweep()
    assert orders_of(alice) == ["open"]
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=True):
        sweep()

    assert orders_of(alice) == ["expired"]


def test_a_payment_of_an_order_that_was_given_up_is_credited(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    Order.objects.update(status=Order.Status.EXPIRED)

    fulfil_top_up(intents(sandbox, top_up)[0])

    assert orders_of(alice) == ["fulfilled"]
    assert posted(alice) == 1_000_000


def test_a_refusal_of_our_own_key_leaves_it_on_and_alerts(
    alice: User, top_up: AutoTopUp, settings: Settings
) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_of_somebody_else"

    top_up_due()

    assert get_top_up(own_team(alice)).is_on
    assert orders_of(alice) == ["open"]
    assert InboxItem.objects.get().kind == "top_up_refused"


@pytest.mark.usefixtures("unchecked_books")
def test_it_buys_within_the_month_s_ceiling_and_goes_on_in_the_next(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    with time_machine.travel(datetime(2027, 1, 20, 12, tzinfo=UTC), tick=False) as clock:
        for _ in range(5):
            top_up_due()
            empty(alice)
        assert orders_of(alice) == ["fulfilled"] * 3
        assert get_top_up(own_team(alice)).paused_until == datetime(2027, 2, 1, tzinfo=UTC)

        clock.move_to(datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC))
        assert top_up_due() == 0
        clock.move_to(datetime(2027, 2, 1, tzinfo=UTC))
        assert top_up_due() == 1

    assert credited(alice) == 4_000_000
    assert len(succeeded(sandbox, top_up)) == 4


@pytest.mark.usefixtures("unchecked_books")
def test_what_was_ordered_in_one_month_and_charged_in_the_next_counts_in_both(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, settings: Settings
) -> None:
    with time_machine.travel(datetime(2027, 1, 31, 23, 59, tzinfo=UTC), tick=False) as clock:
        settings.STRIPE_API_BASE = "http://127.0.0.1:9"
        top_up_due()
        settings.STRIPE_API_BASE = sandbox.url
        assert spent_this_month(wallet_of(alice), "usd") == 900

        clock.move_to(datetime(2027, 2, 1, 0, 1, tzinfo=UTC))
        assert spent_this_month(wallet_of(alice), "usd") == 900
        sweep()
        for _ in range(5):
            empty(alice)
            top_up_due()

    # $27.00 of $30.00 in February, the one of January included.
    assert len(succeeded(sandbox, top_up)) == 3


def test_the_ceiling_counts_an_open_top_up_and_not_a_failed_one(
    alice: User, top_up: AutoTopUp
) -> None:
    for status in ("pending", "failed", "expired"):
        Order.objects.create(
            team=own_team(alice),
            buyer=alice,
            channel=Order.Channel.TOP_UP,
            pack_name="Starter",
            credits=1_000_000,
            amount_cents=2_200,
            currency="usd",
            status=status,
            expires_at=timezone.now(),
        )
    Order.objects.filter(status="pending").update(status="fulfilled", fulfilled_at=timezone.now())

    assert top_up_due() == 0

    assert get_top_up(own_team(alice)).paused_until is not None


@pytest.mark.parametrize(
    "change", [{"price_cents": 901}, {"credits": 999_999}, {"is_active": False}]
)
def test_a_worse_offer_ends_the_consent(
    change: dict[str, int], alice: User, top_up: AutoTopUp, pack: Pack
) -> None:
    Pack.objects.filter(pk=pack.pk).update(**change)

    assert top_up_due() == 0

    assert get_top_up(own_team(alice)).off_reason == OffReason.TERMS
    assert orders_of(alice) == []
    assert kinds_told(alice) == {"top_up_off"}


def test_a_deleted_pack_ends_the_consent(alice: User, top_up: AutoTopUp, pack: Pack) -> None:
    pack.delete()

    top_up_due()

    assert get_top_up(own_team(alice)).off_reason == OffReason.TERMS


def test_a_better_offer_is_bought_at_its_price(alice: User, top_up: AutoTopUp, pack: Pack) -> None:
    Pack.objects.filter(pk=pack.pk).update(price_cents=800)

    top_up_due()

    assert Order.objects.get().paid_cents == 800


@pytest.mark.parametrize(
    "lie",
    [
        {"amount": 901},
        {"amount_received": 899},
        {"currency": "eur"},
        {"livemode": True},
        {"customer": "cus_of_bob"},
    ],
)
def test_a_payment_that_differs_waits_for_a_person(
    lie: dict[str, object],
    alice: User,
    top_up: AutoTopUp,
    sandbox: Sandbox,
    lost_answer: pytest.MonkeyPatch,
) -> None:
    top_up_due()
    lost_answer.undo()
    intent_id = intents(sandbox, top_up)[0]
    sandbox.tamper(intent_id, **lie)

    fulfil_top_up(intent_id)

    assert orders_of(alice) == ["review"]
    assert posted(alice) == 0
    assert InboxItem.objects.get().kind == "order_mismatch"


def test_a_charge_of_another_amount_waits_for_a_person(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    intent_id = intents(sandbox, top_up)[0]
    sandbox.tamper(sandbox.charge_id(intent_id), amount=800)

    order = fulfil_top_up(intent_id)

    assert (order.status, posted(alice)) == ("review", 0)
    assert order.review_reason == "charge is 800, expected 900"


def test_a_payment_that_does_not_call_itself_a_top_up_waits_for_a_person(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    intent_id = intents(sandbox, top_up)[0]
    sandbox.tamper(intent_id, metadata={"order_id": str(Order.objects.get().public_id)})

    order = fulfil_top_up(intent_id)

    assert (order.status, posted(alice)) == ("review", 0)
    assert order.review_reason == "channel is '', expected 'top_up'"


def test_what_is_asked_of_stripe_is_written_down_first(alice: User, top_up: AutoTopUp) -> None:
    top_up_due()

    request = TopUpPayment.objects.get().request
    assert request["payment_method"] == top_up.stripe_payment_method_id
    assert (request["amount"], request["off_session"]) == (900, True)
    assert request["metadata"]["order_id"] == str(Order.objects.get().public_id)


def empty(user: User) -> None:
    """Have everything expire at once, as far as the books are concerned."""
    wallet = wallet_of(user)
    wallet.posted_credits = 0
    wallet.save()
    assert LedgerEntry.objects.filter(wallet=wallet).exists()


def test_the_drain_has_a_wallet_topped_up_that_it_booked_below_the_level(
    top_up: AutoTopUp, till: Till, settings: Settings
) -> None:
    till.grant(1_000_000)
    till.place("r1", 900_000)
    till.settle("r1", 900_000)

    assert drain_events() == 1

    with Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        waiting = broker.lrange("celery", 0, -1)
    assert [b"billing.top_up_wallets" in message for message in waiting] == [True]


def test_the_drain_asks_for_nothing_while_the_balance_is_above_the_level(
    top_up: AutoTopUp, till: Till, settings: Settings
) -> None:
    till.grant(1_000_000)
    till.place("r1", 800_000)
    till.settle("r1", 800_000)

    assert drain_events() == 1

    with Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        assert broker.lrange("celery", 0, -1) == []
