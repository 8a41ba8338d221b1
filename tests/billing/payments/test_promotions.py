"""A promotion adds credits to what is ordered while it runs: one lot, sold for what was paid."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.audit.books import audit
from billing.catalogue.custom_amounts import quote_amount
from billing.catalogue.pack_prices import dearest_credit, packs_on_sale
from billing.catalogue.promotions import sell
from billing.catalogue.stripe_sync import sync_packs
from billing.exceptions import OfferChanged
from billing.models import AmountOffer, Lot, Order, Pack, Promotion
from billing.orders.checkout import start_amount_checkout, start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.tasks.wallet import drain_events
from common.credits import MAX_CREDITS
from tests.billing.payments.conftest import hear, posted, status_of
from tests.promotions import make_promotion
from tests.racing import before_statement, race
from tests.stripe_sandbox import Sandbox
from tests.till import in_a_thread

Status = Order.Status


@pytest.fixture
def promotion(sandbox: Sandbox) -> Promotion:
    """A fifth more of every pack, for an hour; half of it is over."""
    return make_promotion(bonus_percent=20)


def buy(user: User, **asked: int) -> Order:
    return start_checkout(own_seat(user), pack_slug="starter", **asked)  # type: ignore[arg-type]


def pay(order: Order, sandbox: Sandbox) -> Order:
    assert sandbox.pay(order.stripe_session_id) == 200
    return fulfil_checkout(order.stripe_session_id or "")


def end(promotion: Promotion) -> None:
    Promotion.objects.filter(pk=promotion.pk).update(ends_at=timezone.now())


def terms(order: Order) -> tuple[int, int, Promotion | None]:
    return order.credits, order.bonus_credits, order.promotion


def test_an_order_has_the_bonus_in_one_lot_that_was_sold_for_all_that_was_paid(
    alice: User, pack: Pack, promotion: Promotion, sandbox: Sandbox
) -> None:
    order = pay(buy(alice), sandbox)

    assert terms(order) == (1_200_000, 200_000, promotion)
    assert posted(alice) == 1_200_000
    lot = Lot.objects.get()
    assert (lot.granted_credits, lot.paid_micros, lot.currency) == (1_200_000, 9_000_000, "usd")
    assert audit() == []


def test_an_order_keeps_its_bonus_when_it_is_paid_after_the_end(
    alice: User, pack: Pack, promotion: Promotion, sandbox: Sandbox
) -> None:
    order = buy(alice)
    end(promotion)

    pay(order, sandbox)

    assert posted(alice) == 1_200_000
    assert terms(buy(alice)) == (1_000_000, 0, None)


def test_an_order_of_before_has_none_and_the_next_click_orders_with_it(
    alice: User, pack: Pack, promotion: Promotion, sandbox: Sandbox
) -> None:
    Promotion.objects.update(is_shown=False)
    before = buy(alice)
    Promotion.objects.update(is_shown=True)

    after = buy(alice)
    pay(before, sandbox)

    assert before.pk != after.pk
    assert terms(after) == (1_200_000, 200_000, promotion)
    assert posted(alice) == 1_000_000


@pytest.mark.parametrize(
    "altered",
    [
        {"is_shown": False},
        {"starts_at": timedelta(minutes=1)},
        {"ends_at": timedelta(0)},
        {"bonus_percent": 0},
    ],
    ids=["hidden", "planned", "over", "only told"],
)
def test_a_promotion_that_does_not_run_or_adds_nothing_is_not_ordered(
    alice: User, pack: Pack, promotion: Promotion, altered: dict[str, timedelta | int]
) -> None:
    now = timezone.now()
    values = {k: now + v if isinstance(v, timedelta) else v for k, v in altered.items()}
    Promotion.objects.update(**values)

    assert terms(buy(alice)) == (1_000_000, 0, None)


def test_it_holds_for_the_packs_that_were_chosen(
    alice: User, pack: Pack, promotion: Promotion
) -> None:
    other = Pack.objects.create(name="Large", slug="large", credits=10_000_000, price_cents=8_000)
    promotion.packs.add(other)

    assert sell(pack).bonus_credits == 0
    assert [(each.pack.slug, each.credits) for each in packs_on_sale()] == [
        ("starter", 1_000_000),
        ("large", 12_000_000),
    ]


def test_of_several_the_one_that_adds_the_most_counts_and_never_the_sum(
    alice: User, pack: Pack, promotion: Promotion
) -> None:
    more = make_promotion(bonus_percent=30)
    make_promotion(bonus_percent=30)
    make_promotion(bonus_percent=10)

    assert terms(buy(alice)) == (1_300_000, 300_000, more)


def test_an_amount_has_the_bonus_where_amounts_are_covered(
    alice: User, promotion: Promotion, sandbox: Sandbox
) -> None:
    AmountOffer.objects.create(
        currency="usd",
        least_cents=1_000,
        most_cents=500_000,
        credits_per_unit=333_333,
        is_active=True,
    )
    without = quote_amount("usd", 1_234)
    Promotion.objects.update(covers_amounts=True)

    with pytest.raises(OfferChanged):
        start_amount_checkout(own_seat(alice), mark=without.mark)
    order = start_amount_checkout(own_seat(alice), mark=quote_amount("usd", 1_234).mark)

    # 12.34 × 333,333 = 4,113,329.22; a fifth of what is rounded down is 822,665.8.
    assert without.credits == 4_113_329
    assert terms(order) == (4_935_994, 822_665, promotion)


def test_what_a_page_showed_is_what_is_ordered_or_nothing(
    alice: User, pack: Pack, promotion: Promotion
) -> None:
    end(promotion)

    with pytest.raises(OfferChanged):
        buy(alice, shown_credits=1_200_000)

    assert not Order.objects.exists()
    assert buy(alice, shown_credits=1_000_000).credits == 1_000_000


def test_of_two_orders_at_the_very_end_each_has_what_was_given_at_its_instant(
    alice: User, bob: User, pack: Pack, promotion: Promotion
) -> None:
    def order(user: User) -> Order | None:
        try:
            return buy(user)
        except OfferChanged:
            return None

    calls: list[Callable[[], Order | None]] = [
        partial(order, alice),
        partial(order, bob),
        partial(end, promotion),
    ]
    found = race(calls, meet_at="billing_promotion")

    promotion.refresh_from_db()
    for each in found[:2]:
        assert each is None or (each.promotion is None) == (each.created_at >= promotion.ends_at)


def test_an_order_is_not_made_of_a_promotion_that_is_hidden_in_between(
    alice: User, pack: Pack, promotion: Promotion
) -> None:
    hiding = partial(in_a_thread, partial(Promotion.objects.update, is_shown=False))

    with before_statement('"billing_promotion"."id" =', hiding), pytest.raises(OfferChanged):
        buy(alice)

    assert not Order.objects.exists()


def test_stripe_is_given_the_credits_with_the_bonus_instead_of_the_catalogue(
    alice: User, pack: Pack, promotion: Promotion, sandbox: Sandbox
) -> None:
    sync_packs()

    order = buy(alice)

    assert order.stripe_price_id == ""
    [item] = sandbox.client.v1.checkout.sessions.line_items.list(order.stripe_session_id or "").data
    product = sandbox.client.v1.products.retrieve(str(item.price.product if item.price else ""))
    assert product.description == "1,200,000 credits, 200,000 of them a bonus"


def test_a_refund_in_parts_takes_the_bonus_back_in_proportion(
    alice: User, pack: Pack, promotion: Promotion, sandbox: Sandbox
) -> None:
    order = pay(buy(alice), sandbox)

    for cents, taken in ((300, 400_000), (1, 401_333), (599, 1_200_000)):
        charge = {"charge": order.stripe_charge_id, "amount": cents}
        sandbox.client.v1.refunds.create(charge)  # type: ignore[arg-type]
        hear("charge.refunded", order.stripe_charge_id)
        order.refresh_from_db()
        assert order.taken_back_credits == taken

    drain_events()
    assert posted(alice) == 0
    assert audit() == []


@examples(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    drawn=st.tuples(st.integers(1, 100), st.integers(1, MAX_CREDITS // 2), st.integers(50, 10**6))
)
def test_what_is_shown_is_ordered_and_granted_and_taken_back_whole(
    drawn: tuple[int, int, int],
    alice: User,
    pack: Pack,
    sandbox: Sandbox,
    settings: Settings,
) -> None:
    percent, credits, cents = drawn
    settings.PAID_ORDERS_PER_USER = 100
    # Those of the examples before.
    Promotion.objects.update(is_shown=False)
    make_promotion(bonus_percent=percent)
    Pack.objects.update(credits=credits, price_cents=cents)
    [shown] = packs_on_sale()

    order = pay(buy(alice), sandbox)
    lot = Lot.objects.get(entry__reference=str(order.public_id), entry__kind="purchase")
    granted = posted(alice)
    sandbox.client.v1.refunds.create({"charge": order.stripe_charge_id})
    hear("charge.refunded", order.stripe_charge_id)

    assert shown.credits == credits + credits * percent // 100
    assert shown.credits == order.credits == lot.granted_credits == granted
    assert shown.bonus_credits == order.bonus_credits
    assert status_of(order) == Status.FULFILLED
    assert order.taken_back_credits == order.credits
    drain_events()
    assert posted(alice) == 0


def test_prices_of_models_are_told_without_promotions(pack: Pack, promotion: Promotion) -> None:
    credit = dearest_credit("usd")

    assert credit is not None
    assert credit * 1_000_000 == 9


def test_the_database_refuses_what_no_promotion_may_be(
    alice: User, pack: Pack, promotion: Promotion
) -> None:
    order = buy(alice)
    now = timezone.now()
    refused = (
        partial(Promotion.objects.update, bonus_percent=101),
        partial(Promotion.objects.update, starts_at=now, ends_at=now),
        partial(Order.objects.update, bonus_credits=0),
        partial(Order.objects.update, bonus_credits=order.credits),
        partial(Order.objects.update, promotion=None),
    )

    for write in refused:
        with pytest.raises((IntegrityError, DataError)), transaction.atomic():
            write()


def test_the_audit_finds_a_bonus_that_its_promotion_does_not_add(
    alice: User, pack: Pack, promotion: Promotion, sandbox: Sandbox
) -> None:
    order = pay(buy(alice), sandbox)
    Order.objects.update(bonus_credits=199_999)

    assert [str(order.public_id) in finding.subject for finding in audit()] == [True]
