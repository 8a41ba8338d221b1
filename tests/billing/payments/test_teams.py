"""A team buys, is refunded and ends; the money finds its team whoever pays."""

from functools import partial
from uuid import uuid4

import pytest
from django.core.cache import cache
from pytest_django import Settings

from accounts.models import ApiKey, Membership, Role, Team, TeamEvent, User
from accounts.teams.events import Action
from accounts.teams.exceptions import NotAllowed, TeamClosed, TeamRefused
from accounts.teams.invitations import find_invitation, invite
from accounts.teams.members import found_team, hand_over, own_seat, own_team
from billing.audit.books import audit
from billing.exceptions import CodeUsed, LeavingRefused, PackUnavailable, TooManyOrders
from billing.gifts.redeem_codes import BatchTerms, make_batch, redeem
from billing.keys.api_keys import issue_api_key
from billing.leaving.deletion import delete_account
from billing.ledger.wallets import get_wallet
from billing.models import Notice, Order, Pack, Refund, StripeCustomer, Wallet
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.refunds import refund_to_customer
from billing.teams.closing import close_team
from billing.teams.members import remove_member
from tests.racing import race
from tests.stripe_sandbox import Sandbox
from tests.teams import Crew, confirm, join, make_crew


@pytest.fixture
def acme(alice: User) -> Crew:
    cache.clear()
    return make_crew("Acme", confirm(alice))


def buy(seat: Membership, pack: Pack, sandbox: Sandbox) -> Order:
    order = start_checkout(seat, pack_slug=pack.slug)
    assert sandbox.pay(order.stripe_session_id) == 200
    return fulfil_checkout(order.stripe_session_id or "")


def posted(team: Team) -> int:
    return Wallet.objects.get(team=team).posted_credits


def test_who_looks_after_billing_buys_for_the_team(
    acme: Crew, pack: Pack, sandbox: Sandbox
) -> None:
    order = buy(acme.billing, pack, sandbox)

    assert (order.team, order.buyer) == (acme.team, acme.billing.user)
    assert posted(acme.team) == 1_000_000
    assert posted(own_team(acme.billing.user)) == 0
    event = TeamEvent.objects.get(action=Action.BOUGHT)
    assert (event.team, event.actor) == (acme.team, acme.billing.user)
    assert event.after == {"credits": 1_000_000, "paid_cents": 900, "currency": "usd"}
    told = Notice.objects.filter(kind=Notice.Kind.PURCHASE, reference=str(order.public_id))
    assert set(told.values_list("user__email", "team")) == {
        (acme.owner.user.email, acme.team.pk),
        (acme.billing.user.email, acme.team.pk),
    }
    assert StripeCustomer.objects.get(wallet__team=acme.team).email == acme.owner.user.email
    assert audit() == []


def test_stripe_leads_back_to_the_page_of_the_team(
    acme: Crew, pack: Pack, sandbox: Sandbox
) -> None:
    order = start_checkout(acme.billing, pack_slug=pack.slug)

    session = sandbox.session(order.stripe_session_id)

    prefix = f"http://testserver/teams/{acme.team.public_id}/billing/"
    assert (session.success_url or "").startswith(prefix)
    assert (session.cancel_url or "").startswith(prefix)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.DEVELOPER])
def test_others_neither_buy_nor_redeem(acme: Crew, pack: Pack, role: Role) -> None:
    with pytest.raises(NotAllowed):
        start_checkout(acme.seats[role], pack_slug=pack.slug)
    with pytest.raises(NotAllowed):
        redeem(acme.seats[role], "0000-0000-0000-0000", address="203.0.113.9")

    assert not Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_person_s_orders_in_two_teams_keep_the_limit_together(
    acme: Crew, alice: User, pack: Pack, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_USER = 1

    def order(seat: Membership) -> bool:
        try:
            start_checkout(seat, pack_slug=pack.slug)
        except TooManyOrders:
            return False
        return True

    outcomes = race(
        [partial(order, seat) for seat in (acme.owner, own_seat(alice))],
        meet_at='INSERT INTO "billing_order"',
    )

    assert sorted(outcomes) == [False, True]


def test_a_code_of_a_batch_is_for_a_team_once(acme: Crew, alice: User) -> None:
    _, texts = make_batch(BatchTerms("Launch", 500, 2), actor=alice, once=uuid4())
    redeem(acme.owner, texts[0], address="203.0.113.9")

    with pytest.raises(CodeUsed):
        redeem(acme.billing, texts[1], address="203.0.113.9")
    assert posted(acme.team) == 500
    assert audit() == []


def test_a_refund_says_who_asked(
    acme: Crew, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    order = buy(acme.billing, pack, sandbox)

    refund_to_customer(order, key=uuid4(), by=acme.billing.user)

    assert TeamEvent.objects.get(action=Action.REFUNDED).actor == acme.billing.user


def test_a_wish_that_is_sent_twice_at_once_is_written_down_once(
    acme: Crew, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    order, key = buy(acme.billing, pack, sandbox), uuid4()

    def wish() -> int:
        return refund_to_customer(order, key=key, by=acme.billing.user).pk

    refunds = race([wish, wish], meet_at="FOR UPDATE")

    assert len(set(refunds)) == 1
    assert TeamEvent.objects.filter(action=Action.REFUNDED).count() == 1


def test_a_team_that_closes_is_refunded_and_its_keys_end(
    acme: Crew, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    buy(acme.billing, pack, sandbox)
    issue_api_key(acme.developer, name="CI")
    _, secret = invite(acme.admin, "dora@example.com", Role.DEVELOPER)

    (refund,) = close_team(acme.owner)

    acme.team.refresh_from_db()
    assert refund.amount_cents == 900
    assert acme.team.closed_at is not None
    assert not ApiKey.objects.filter(team=acme.team, revoked_at=None).exists()
    assert find_invitation(secret) is None
    assert TeamEvent.objects.filter(team=acme.team, action=Action.TEAM_CLOSED).count() == 1
    with pytest.raises(PackUnavailable):
        start_checkout(acme.owner, pack_slug=pack.slug)
    with pytest.raises(TeamClosed):
        issue_api_key(acme.developer, name="Late")


def test_what_is_paid_after_a_team_closed_goes_back(
    acme: Crew, pack: Pack, sandbox: Sandbox
) -> None:
    order = start_checkout(acme.billing, pack_slug=pack.slug)
    Team.objects.filter(pk=acme.team.pk).update(closed_at="2026-11-01T00:00:00Z")
    sandbox.pay(order.stripe_session_id)

    found = fulfil_checkout(order.stripe_session_id or "")

    assert found.status == Order.Status.REVIEW
    assert Refund.objects.get().amount_cents == 900
    assert posted(acme.team) == 0


def test_a_team_that_owes_stays_and_only_its_owner_closes_it(acme: Crew, alice: User) -> None:
    Wallet.objects.filter(pk=get_wallet(acme.team).pk).update(debt_credits=5)

    with pytest.raises(TeamRefused):
        close_team(acme.owner)
    with pytest.raises(NotAllowed):
        close_team(acme.admin)
    with pytest.raises(TeamRefused):
        close_team(own_seat(alice))


def test_the_only_owner_of_a_team_does_not_leave_the_site(acme: Crew, alice: User) -> None:
    with pytest.raises(LeavingRefused, match="only owner of Acme"):
        delete_account(alice)

    hand_over(acme.owner, acme.admin.user)
    delete_account(alice)

    assert not acme.team.memberships.filter(user=alice).exists()
    own = Team.objects.get(person=alice)
    assert own.closed_at is not None


def test_who_shares_their_own_team_does_not_leave_the_site(alice: User, bob: User) -> None:
    join(own_team(alice), bob, Role.DEVELOPER)

    with pytest.raises(LeavingRefused):
        delete_account(alice)


def test_what_somebody_left_to_a_team_outlives_their_account(acme: Crew, bob: User) -> None:
    key, _ = issue_api_key(join(acme.team, bob, Role.DEVELOPER), name="Bob's")
    remove_member(acme.admin, bob, keeps_keys=True)
    delete_account(bob)

    key.refresh_from_db()
    assert key.revoked_at is None
    assert key.name == "Bob's"


def test_the_audit_finds_credits_that_went_to_another_team(
    acme: Crew, pack: Pack, sandbox: Sandbox, bob: User
) -> None:
    order = buy(acme.owner, pack, sandbox)
    other = found_team(bob, "Bolt").team
    Order.objects.filter(pk=order.pk).update(team=other)

    found = audit()

    assert [each.invariant for each in found] == [10]
    assert str(order.public_id) in found[0].subject
