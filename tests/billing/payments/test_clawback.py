from datetime import timedelta
from itertools import permutations

import pytest
from django.db.models import F, Sum
from django.utils import timezone

from accounts.models import User
from accounts.teams.members import own_seat
from billing.ledger.expiry import expire_lots
from billing.models import Debit, InboxItem, LedgerEntry, Lot, Notice, Order
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.clawback import book_charge
from tests.billing.payments.conftest import hear
from tests.billing.payments.order_world import broken_books
from tests.racing import before_statement, in_background
from tests.stripe_sandbox import Sandbox
from tests.till import Till


def refund(order: Order, sandbox: Sandbox, amount_cents: int) -> str:
    """Refund at Stripe and return the charge; we have not heard of it."""
    session = sandbox.session(order.stripe_session_id)
    assert isinstance(session.payment_intent, str)
    sandbox.refund(session.payment_intent, amount_cents)
    return sandbox.charge_id(session.payment_intent)


def asked_back() -> int:
    return Debit.objects.aggregate(total=Sum("amount_credits"))["total"] or 0


def test_a_full_refund_takes_all_credits_back(fulfilled: Order, sandbox: Sandbox) -> None:
    charge_id = refund(fulfilled, sandbox, 900)

    hear("charge.refunded", charge_id)

    debit = Debit.objects.get()
    assert (debit.kind, debit.amount_credits) == ("clawback", 1_000_000)
    assert debit.order == fulfilled
    fulfilled.refresh_from_db()
    assert (fulfilled.refunded_cents, fulfilled.clawed_back_credits) == (900, 1_000_000)


def test_each_refund_is_mailed_with_the_tokens_that_it_took(
    fulfilled: Order, sandbox: Sandbox
) -> None:
    for cents in (300, 150):
        hear("charge.refunded", refund(fulfilled, sandbox, cents))

    told = Notice.objects.filter(kind=Notice.Kind.REFUND).order_by("pk")
    assert [(each.facts["refunded_cents"], each.facts["clawed_back_credits"]) for each in told] == [
        (300, 333_333),
        (450, 500_000),
    ]


def test_a_refund_that_takes_the_place_of_a_failed_one_is_mailed_too(
    fulfilled: Order, sandbox: Sandbox
) -> None:
    for is_last in (False, True):
        charge_id = refund(fulfilled, sandbox, 300)
        hear("charge.refunded", charge_id)
        if not is_last:
            sandbox.control(f"refunds/{sandbox.refund_ids(charge_id)[0]}/fail")
            hear("refund.failed", "re_1", charge=charge_id)

    assert Notice.objects.filter(kind=Notice.Kind.REFUND).count() == 2


def test_a_refund_that_failed_beside_another_is_no_new_refund(
    fulfilled: Order, sandbox: Sandbox
) -> None:
    refund(fulfilled, sandbox, 300)
    charge_id = refund(fulfilled, sandbox, 150)
    hear("charge.refunded", charge_id)

    sandbox.control(f"refunds/{sandbox.refund_ids(charge_id)[0]}/fail")
    hear("refund.failed", "re_1", charge=charge_id)

    assert Notice.objects.filter(kind=Notice.Kind.REFUND).count() == 1


def test_a_refund_takes_from_the_live_balance(
    fulfilled: Order, sandbox: Sandbox, till: Till
) -> None:
    hear("charge.refunded", refund(fulfilled, sandbox, 300))

    assert till.balance().available_credits == 666_667
    till.drain()
    assert till.posted() == 666_667
    assert till.lots() == [666_667]


def test_what_was_spent_before_the_refund_is_debt_that_the_next_order_pays(
    fulfilled: Order, alice: User, sandbox: Sandbox, till: Till
) -> None:
    till.place("r1", 400_000)
    till.settle("r1", 400_000)

    hear("charge.refunded", refund(fulfilled, sandbox, 900))
    till.drain()

    assert (till.balance().available_credits, till.balance().debt_credits) == (0, 400_000)
    second = start_checkout(own_seat(alice), pack_slug="starter")
    sandbox.pay(second.stripe_session_id)
    fulfil_checkout(second.stripe_session_id or "")
    assert (till.balance().available_credits, till.balance().debt_credits) == (600_000, 0)


def test_a_refund_before_the_fulfilment_makes_no_debt(
    paid: Order, sandbox: Sandbox, till: Till
) -> None:
    refund(paid, sandbox, 450)

    fulfil_checkout(paid.stripe_session_id or "")
    till.drain()

    assert (till.balance().available_credits, till.balance().debt_credits) == (500_000, 0)


def test_refunds_in_thirds_end_exact(fulfilled: Order, sandbox: Sandbox) -> None:
    taken = []
    for _ in range(3):
        hear("charge.refunded", refund(fulfilled, sandbox, 300))
        taken.append(asked_back())

    assert taken == [333_333, 666_666, 1_000_000]


def test_one_event_for_many_refunds_is_enough(fulfilled: Order, sandbox: Sandbox) -> None:
    refund(fulfilled, sandbox, 300)
    charge_id = refund(fulfilled, sandbox, 150)

    hear("refund.created", "re_1", charge=charge_id)

    assert asked_back() == 500_000


@pytest.mark.parametrize(
    "kinds",
    list(permutations(["charge.refunded", "refund.created", "refund.updated"])),
    ids=" ".join,
)
def test_events_in_any_order_and_twice_take_once(
    fulfilled: Order, sandbox: Sandbox, kinds: tuple[str, ...]
) -> None:
    charge_id = refund(fulfilled, sandbox, 450)

    for kind in kinds * 2:
        hear(kind, charge_id if kind.startswith("charge") else "re_1", charge=charge_id)

    assert asked_back() == 500_000


def test_a_refund_before_the_fulfilment_counts(paid: Order, sandbox: Sandbox) -> None:
    charge_id = refund(paid, sandbox, 450)
    hear("charge.refunded", charge_id)
    assert asked_back() == 0

    fulfil_checkout(paid.stripe_session_id or "")

    assert asked_back() == 500_000


@pytest.mark.parametrize(
    "statement", ['FROM "billing_order"', 'INSERT INTO "billing_ledgerentry"', "UPDATE"]
)
def test_a_refund_in_the_middle_of_the_fulfilment_counts(
    paid: Order, sandbox: Sandbox, statement: str
) -> None:
    with (
        in_background(lambda: hear("charge.refunded", refund(paid, sandbox, 450))) as start,
        before_statement(statement, start),
    ):
        fulfil_checkout(paid.stripe_session_id or "")

    assert asked_back() == 500_000


def test_an_answer_older_than_what_was_booked_alarms_nobody(
    fulfilled: Order, sandbox: Sandbox
) -> None:
    charge_id = refund(fulfilled, sandbox, 300)

    def refund_again() -> None:
        hear("charge.refunded", refund(fulfilled, sandbox, 300))

    # The second refund is booked while the first one's answer is on its way to the order.
    with (
        in_background(refund_again) as start,
        before_statement('FROM "billing_order"', start),
    ):
        hear("charge.refunded", charge_id)

    assert asked_back() == 666_666
    assert not InboxItem.objects.exists()


def test_a_refund_that_failed_gives_the_credits_back(
    fulfilled: Order, sandbox: Sandbox, till: Till
) -> None:
    charge_id = refund(fulfilled, sandbox, 450)
    hear("charge.refunded", charge_id)
    till.drain()
    assert till.posted() == 500_000
    [refund_id] = sandbox.refund_ids(charge_id)
    sandbox.control(f"refunds/{refund_id}/fail", reason="expired_or_canceled_card")

    for _ in range(2):
        hear("refund.failed", refund_id, charge=charge_id)

    assert till.posted() == till.balance().available_credits == 1_000_000
    entry = LedgerEntry.objects.get(kind="reinstatement")
    assert (entry.amount_credits, entry.reference) == (500_000, f"{fulfilled.public_id}:500000")
    assert InboxItem.objects.get().kind == "refund_failed"


def test_what_comes_back_can_be_used_for_two_weeks_whenever_it_would_have_expired(
    fulfilled: Order, sandbox: Sandbox, till: Till
) -> None:
    charge_id = refund(fulfilled, sandbox, 900)
    hear("charge.refunded", charge_id)
    till.drain()
    Lot.objects.update(expires_at=timezone.now() - timedelta(days=1))

    sandbox.control(f"refunds/{sandbox.refund_ids(charge_id)[0]}/fail")
    hear("refund.failed", "re_1", charge=charge_id)

    back = Lot.objects.get(entry__kind="reinstatement")
    assert back.expires_at is not None
    assert back.expires_at - timezone.now() > timedelta(days=13, hours=23)


def test_a_refund_after_one_that_failed_takes_the_credits_again(
    fulfilled: Order, sandbox: Sandbox, till: Till
) -> None:
    charge_id = refund(fulfilled, sandbox, 900)
    hear("charge.refunded", charge_id)
    sandbox.control(f"refunds/{sandbox.refund_ids(charge_id)[0]}/fail")
    hear("refund.failed", "re_1", charge=charge_id)

    hear("charge.refunded", refund(fulfilled, sandbox, 900))
    till.drain()

    assert (till.posted(), till.balance().debt_credits) == (0, 0)
    fulfilled.refresh_from_db()
    assert (fulfilled.clawed_back_credits, fulfilled.reinstated_credits) == (2_000_000, 1_000_000)


def test_a_late_answer_is_not_booked_over_a_newer_one(
    fulfilled: Order, sandbox: Sandbox, till: Till
) -> None:
    charge_id = refund(fulfilled, sandbox, 900)

    def fail_meanwhile() -> None:
        sandbox.control(f"refunds/{sandbox.refund_ids(charge_id)[0]}/fail")
        book_charge(charge_id)

    # The failure is booked while the answer that knows only the refund is on its way.
    with (
        in_background(fail_meanwhile) as start,
        before_statement("FOR UPDATE", start),
    ):
        book_charge(charge_id)
    till.drain()

    assert (till.posted(), till.balance().debt_credits) == (1_000_000, 0)


def test_a_clawback_takes_from_the_lot_that_was_refunded(
    fulfilled: Order, sandbox: Sandbox, till: Till
) -> None:
    till.grant(5_000)

    hear("charge.refunded", refund(fulfilled, sandbox, 900))
    till.drain()

    assert till.lots() == [0, 5_000]


def test_a_second_payment_of_an_order_that_is_refunded_takes_nothing(
    fulfilled: Order, sandbox: Sandbox
) -> None:
    charge_id = refund(fulfilled, sandbox, 900)
    Order.objects.update(stripe_payment_intent_id="pi_of_the_first_payment")

    hear("charge.refunded", charge_id)

    assert asked_back() == 0
    assert InboxItem.objects.get().kind == "second_payment_returned"


def test_a_charge_of_another_shop_is_left_alone(fulfilled: Order, sandbox: Sandbox) -> None:
    charge_id = refund(fulfilled, sandbox, 900)
    sandbox.tamper(charge_id, metadata={})
    Order.objects.update(stripe_charge_id="ch_of_ours")

    hear("charge.refunded", charge_id)
    hear("charge.dispute.closed", "dp_1", charge=charge_id)

    assert asked_back() == 0
    assert not InboxItem.objects.exists()


def test_the_mail_of_a_refund_says_what_it_took(fulfilled: Order, sandbox: Sandbox) -> None:
    for _ in range(2):
        hear("charge.refunded", refund(fulfilled, sandbox, 300))

    told = Notice.objects.filter(kind="refund").order_by("pk").values_list("facts", flat=True)
    figures = [(fact["refunded_cents"], fact["clawed_back_credits"]) for fact in told]
    assert figures == [(300, 333_333), (600, 666_666)]


def figures(till: Till) -> tuple[int, int]:
    """Return what is posted and what is owed."""
    till.drain()
    return till.posted(), till.balance().debt_credits


def expire(till: Till) -> None:
    long_ago = timedelta(days=31)
    Lot.objects.update(expires_at=F("expires_at") - long_ago)
    Order.objects.update(fulfilled_at=F("fulfilled_at") - long_ago)
    expire_lots()
    till.drain()


def test_what_had_expired_is_not_owed_when_it_is_refunded(
    fulfilled: Order, sandbox: Sandbox, till: Till
) -> None:
    till.place("r1", 400_000)
    till.settle("r1", 400_000)
    till.drain()
    expire(till)
    assert figures(till) == (0, 0)

    # 600,000 expired. A third and two more: first what was not used is given back for.
    owed = []
    for _ in range(3):
        for _ in range(2):
            hear("charge.refunded", sandbox.charge_id(fulfilled.stripe_payment_intent_id))
        owed.append(figures(till))
        refund(fulfilled, sandbox, 300)
    hear("charge.refunded", fulfilled.stripe_charge_id)
    owed.append(figures(till))

    assert owed == [(0, 0), (0, 0), (0, 66_666), (0, 400_000)]
    assert broken_books() == []


def test_what_had_expired_does_not_come_back_with_a_refund_that_fails(
    fulfilled: Order, sandbox: Sandbox, till: Till
) -> None:
    expire(till)
    charge_id = refund(fulfilled, sandbox, 900)
    hear("charge.refunded", charge_id)
    assert figures(till) == (0, 0)

    sandbox.control(f"refunds/{sandbox.refund_ids(charge_id)[0]}/fail")
    for _ in range(2):
        hear("refund.failed", "re_1", charge=charge_id)
    assert figures(till) == (0, 0)
    assert broken_books() == []
    refund(fulfilled, sandbox, 900)
    hear("charge.refunded", charge_id)

    assert figures(till) == (0, 0)
    assert broken_books() == []


def test_a_refund_and_a_dispute_of_all_of_it_take_no_more_than_was_given(
    fulfilled: Order, sandbox: Sandbox, till: Till
) -> None:
    dispute_id = sandbox.dispute(refund(fulfilled, sandbox, 300), amount=600)
    # Banks dispute what their customer paid, in their currency and at their rate.
    sandbox.tamper(dispute_id, amount=960)

    hear("charge.dispute.created", dispute_id, charge=fulfilled.stripe_charge_id)

    fulfilled.refresh_from_db()
    assert (fulfilled.refunded_cents, fulfilled.disputed_cents) == (300, 960)
    assert fulfilled.taken_back_credits == 1_000_000
    assert figures(till) == (0, 0)
