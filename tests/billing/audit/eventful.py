"""Two wallets to which all has happened that moves credits, for tests of the audit."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.gifts.redeem_codes import BatchTerms, make_batch, redeem
from billing.gifts.welcome import grant_welcome_credit
from billing.ledger.debts import pay_debts
from billing.ledger.expiry import expire_lots
from billing.ledger.wallets import adjust_credits, grant_credits
from billing.models import ModelPrice, Order, PublicModel
from billing.orders.clawback import move_to_target
from billing.orders.fulfilment import credit_order, paid_for
from billing.rollups.sweep import roll_up
from billing.wallet.commands import ending
from billing.wallet.usage import Settlement
from tests.till import Till


def let_all_happen(till: Till, other: User) -> None:
    """Gifts, an expiry, adjustments, an order that is refunded and half of that undone, receipts
    of all sources, debts paid in both ways, and the other's charge that was not covered.
    """
    till.price = dear_price()
    grant_welcome_credit(till.user, email=till.user.email, ip_address="203.0.113.9")
    _, (code,) = make_batch(BatchTerms("Launch", 500, 1, lot_days=9), actor=other, once=uuid4())
    redeem(own_seat(till.user), code, address="203.0.113.9")
    grant_credits(
        till.wallet, credits=80, reason="late", expires_at=timezone.now() - timedelta(days=1)
    )
    expire_lots()
    till.drain()
    adjust_credits(till.wallet, amount_credits=90, actor=other, reason="up")
    adjust_credits(till.wallet, amount_credits=-40, actor=other, reason="down")
    till.drain()
    order = bought(till.user, credits=2_000)
    serve(till, "reported", held=2_000, outcome="completed", source="reported")
    serve(till, "left", held=1_500, outcome="client_left", source="estimated")
    serve(till, "parked", held=1_500, outcome="completed", source="parked")
    till.drain()
    take_back_while_held(till, order)
    give_back_half(order)
    write_off(Till(other), till.price)
    roll_up()


def dear_price() -> ModelPrice:
    """A price whose classes all differ, by whole credits."""
    return ModelPrice.objects.create(
        model=PublicModel.objects.create(name="dear"),
        version=1,
        prompt_rate_millicredits=10_000,
        cached_prompt_rate_millicredits=5_000,
        cache_write_rate_millicredits=12_000,
        prompt_audio_rate_millicredits=16_000,
        prompt_image_rate_millicredits=20_000,
        completion_rate_millicredits=40_000,
        reasoning_rate_millicredits=50_000,
        completion_audio_rate_millicredits=32_000,
    )


def bought(user: User, *, credits: int) -> Order:
    order = Order.objects.create(
        team=own_team(user),
        buyer=user,
        pack_name="Starter",
        credits=credits,
        amount_cents=1_000,
        discount_cents=100,
        tax_cents=20,
        paid_cents=920,
        currency="usd",
        validity_days=30,
        expires_at=timezone.now(),
    )
    with transaction.atomic():
        credit_order(order, paid_for(order))
        order.save()
    return order


def serve(till: Till, name: str, *, held: int, outcome: str, source: str) -> None:
    """Serve a request of 10 prompt and 8 completion tokens of all classes."""
    cost = 3 * 10 + 3 * 5 + 2 * 12 + 16 + 20 + 5 * 40 + 2 * 50 + 32
    settlement = Settlement(
        target_credits=cost,
        outcome=outcome,
        source=source,
        prompt_tokens=10,
        cached_tokens=3,
        cache_write_tokens=2,
        prompt_audio_tokens=1,
        prompt_image_tokens=1,
        completion_tokens=8,
        reasoning_tokens=2,
        completion_audio_tokens=1,
        provider_name="sandbox",
        attempts=1,
        ended_at_ms=till.facts(name).started_at_ms + 1_000,
        cost_nanos=5,
    )
    till.place(name, held)
    ending.parse_settle(till.client.ask(ending.settle(till.facts(name), settlement)))


def take_back_while_held(till: Till, order: Order) -> None:
    """Refund an order of which a part is held: the rest is owed, and paid in both ways."""
    till.place("held", 300)
    return_cents(order, 920)
    till.drain()
    till.void("held")
    pay_debts()
    till.drain()
    spent_more = bought(till.user, credits=100)
    assert spent_more.status == "fulfilled"


def give_back_half(order: Order) -> None:
    return_cents(order, 460)


def return_cents(order: Order, cents: int) -> None:
    order.refresh_from_db()
    order.refunded_cents = cents
    with transaction.atomic():
        move_to_target(order)


def write_off(till: Till, price: ModelPrice) -> None:
    """Serve two completion tokens, which cost 80 credits, for which there are 70."""
    till.price = price
    till.grant(100)
    till.place("above", 60)
    till.place("other", 30)
    settlement = replace(till.settlement(80), completion_tokens=2)
    ending.parse_settle(till.client.ask(ending.settle(till.facts("above"), settlement)))
    till.void("other")
    till.drain()
