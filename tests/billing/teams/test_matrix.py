"""Every address of the dashboard × every role × every method, with the ids of two teams.

The addresses are read from the resolver. One without a row here fails the first test, so a new
page says which deed it takes.
"""

import re
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.urls import URLPattern, get_resolver
from pytest_django import Settings

from accounts.models import Invitation, Membership, Role, Team, User
from accounts.teams.invitations import invite
from accounts.teams.roles import ALLOWED, Deed
from billing.keys.api_keys import issue_api_key
from billing.ledger.wallets import get_wallet
from billing.models import Order, Pack, Webhook, WebhookDelivery
from tests import desk
from tests.conftest import signed_in
from tests.teams import Crew, confirm, join, make_crew

METHODS = ("get", "head", "post", "put", "patch", "delete")
PARAMETER = re.compile(r"<\w+:(\w+)>")
# What an address of a team takes; None is open to every member.
DEEDS: dict[str, Deed | None] = {
    "dashboard/": Deed.SEE_BALANCE,
    "dashboard/keys/": Deed.MAKE_KEYS,
    "dashboard/keys/new/": Deed.MAKE_KEYS,
    "dashboard/keys/<int:key_id>/": Deed.MAKE_KEYS,
    "dashboard/keys/<int:key_id>/rotate/": Deed.MAKE_KEYS,
    "dashboard/keys/<int:key_id>/end-rotation/": Deed.MAKE_KEYS,
    "dashboard/keys/<int:key_id>/pause/": Deed.MAKE_KEYS,
    "dashboard/keys/<int:key_id>/resume/": Deed.MAKE_KEYS,
    "dashboard/keys/<int:key_id>/revoke/": Deed.MAKE_KEYS,
    "dashboard/usage/": Deed.SEE_OWN_USAGE,
    "dashboard/usage.csv": Deed.SEE_OWN_USAGE,
    "dashboard/usage/<slug:request_id>/": Deed.SEE_OWN_USAGE,
    "dashboard/playground/": Deed.MAKE_KEYS,
    "dashboard/playground/key/": Deed.MAKE_KEYS,
    "dashboard/orders/": Deed.SEE_ORDERS,
    "dashboard/orders/<uuid:public_id>/": Deed.SEE_ORDERS,
    "dashboard/orders/<uuid:public_id>/receipt/": Deed.SEE_ORDERS,
    "dashboard/orders/<uuid:public_id>/invoice/": Deed.SEE_ORDERS,
    "dashboard/orders/<uuid:public_id>/refund/": Deed.BUY,
    "dashboard/redeem/": Deed.BUY,
    "dashboard/top-up/": Deed.TOP_UP,
    "dashboard/top-up/card/": Deed.TOP_UP,
    "dashboard/top-up/saved/": Deed.TOP_UP,
    "dashboard/top-up/off/": Deed.TOP_UP,
    "dashboard/top-up/remove/": Deed.TOP_UP,
    "dashboard/statements/": Deed.SEE_ORDERS,
    "dashboard/statements/<str:month>.<str:form>": Deed.SEE_ORDERS,
    "dashboard/settings/profile/": None,
    "dashboard/settings/company/": Deed.BUY,
    "dashboard/settings/notifications/": None,
    "dashboard/settings/webhooks/": Deed.MANAGE_WEBHOOKS,
    "dashboard/settings/webhooks/new/": Deed.MANAGE_WEBHOOKS,
    "dashboard/settings/webhooks/<int:webhook_id>/": Deed.MANAGE_WEBHOOKS,
    "dashboard/settings/webhooks/<int:webhook_id>/renew/": Deed.MANAGE_WEBHOOKS,
    "dashboard/settings/webhooks/<int:webhook_id>/test/": Deed.MANAGE_WEBHOOKS,
    "dashboard/settings/webhooks/<int:webhook_id>/switch/": Deed.MANAGE_WEBHOOKS,
    "dashboard/settings/webhooks/<int:webhook_id>/remove/": Deed.MANAGE_WEBHOOKS,
    "dashboard/settings/deliveries/<int:delivery_id>/": Deed.MANAGE_WEBHOOKS,
    "dashboard/settings/deliveries/<int:delivery_id>/again/": Deed.MANAGE_WEBHOOKS,
    "dashboard/settings/data/": None,
    "dashboard/settings/data/export/": None,
    "dashboard/settings/delete/": None,
    "dashboard/team/": Deed.SEE_MEMBERS,
    "dashboard/team/new/": None,
    "dashboard/team/rename/": Deed.CHANGE_TEAM,
    "dashboard/team/leave/": None,
    "dashboard/team/close/": Deed.CHANGE_TEAM,
    "dashboard/team/events/": Deed.SEE_EVENTS,
    "dashboard/team/events.csv": Deed.SEE_EVENTS,
    "dashboard/team/invitations/": Deed.MANAGE_MEMBERS,
    "dashboard/team/invitations/<int:invitation_id>/resend/": Deed.MANAGE_MEMBERS,
    "dashboard/team/invitations/<int:invitation_id>/revoke/": Deed.MANAGE_MEMBERS,
    "dashboard/invitations/<int:invitation_id>/": None,
    "dashboard/team/members/<int:member_id>/": Deed.MANAGE_MEMBERS,
    "dashboard/team/members/<int:member_id>/caps/": Deed.MANAGE_MEMBERS,
    "dashboard/team/members/<int:member_id>/role/": Deed.CHANGE_ROLES,
    "dashboard/team/members/<int:member_id>/hand-over/": Deed.CHANGE_ROLES,
    "dashboard/team/members/<int:member_id>/remove/": Deed.MANAGE_MEMBERS,
    "billing/checkout-amount/": Deed.BUY,
    "billing/checkout/<slug:slug>/": Deed.BUY,
    "billing/cancelled/<uuid:public_id>/": Deed.BUY,
}
# Of nobody, or asked for without an id of the team: nothing of the other team can be in them.
WITHOUT_IDS = {"dashboard/statements/<str:month>.<str:form>", "billing/checkout/<slug:slug>/"}
REFUSED = {403, 404, 405}


def patterns() -> Iterator[str]:
    """Return every pattern of a customer's pages."""
    for each in get_resolver("billing.urls").url_patterns:
        assert isinstance(each, URLPattern)
        route = str(each.pattern)
        if route.startswith(("dashboard/", "billing/c")):
            yield route


def stock(crew: Crew) -> dict[str, object]:
    """Give a team one row of each kind, and return their ids by the names of the parameters."""
    key, _ = issue_api_key(crew.developer, name="Key")
    pack, _ = Pack.objects.get_or_create(
        slug="small", defaults={"name": "Small", "credits": 1_000, "price_cents": 900}
    )
    order = Order.objects.create(
        team=crew.team,
        buyer=crew.owner.user,
        pack=pack,
        pack_name="Small",
        credits=1_000,
        amount_cents=900,
        currency="usd",
        expires_at="2030-01-01T00:00:00Z",
    )
    invitation, _ = invite(crew.owner, f"new@{crew.team}.example.com", Role.DEVELOPER)
    record = desk.make_usage(get_wallet(crew.team), key, request_id=f"req_{crew.team}")
    delivery = desk.make_delivery(crew.owner)
    return {
        "webhook_id": delivery.webhook_id,
        "delivery_id": delivery.pk,
        "key_id": key.pk,
        "request_id": record.request_id,
        "public_id": order.public_id,
        "invitation_id": invitation.pk,
        "member_id": crew.developer.pk,
        "month": "2026-03",
        "form": "csv",
        "slug": "small",
    }


def fill(route: str, ids: dict[str, object]) -> str:
    return PARAMETER.sub(lambda found: str(ids[found[1]]), route)


def state() -> list[object]:
    """Return what a refused request must leave as it was."""
    return [
        list(Membership.objects.order_by("pk").values()),
        list(Team.objects.order_by("pk").values()),
        list(Invitation.objects.order_by("pk").values()),
        list(Order.objects.order_by("pk").values()),
        list(Webhook.objects.order_by("pk").values()),
        list(WebhookDelivery.objects.order_by("pk").values()),
    ]


def test_every_address_has_a_row() -> None:
    assert set(patterns()) == set(DEEDS)


@pytest.mark.parametrize("role", Role)
def test_what_a_role_may_not_do_is_refused_by_every_method(acme: Crew, role: Role) -> None:
    ids, browser = stock(acme), acme.browser(role)
    before, wrong = state(), []

    for route, deed in DEEDS.items():
        if deed is None or role in ALLOWED[deed]:
            continue
        for method in METHODS:
            path = f"/teams/{acme.team.public_id}/{fill(route, ids)}"
            status = getattr(browser, method)(path).status_code
            if status not in REFUSED:
                wrong.append((route, method, status))

    assert wrong == []
    assert state() == before


@pytest.mark.parametrize("role", Role)
def test_what_a_role_may_do_is_not_refused(acme: Crew, role: Role) -> None:
    ids, wrong = stock(acme), []
    # They are of the developer, and of whoever sees everybody's.
    others = {"dashboard/usage/<slug:request_id>/"} if role == Role.BILLING else set()

    for route, deed in DEEDS.items():
        if deed is None or role not in ALLOWED[deed] or route in others | WITHOUT_IDS:
            continue
        path = f"/teams/{acme.team.public_id}/{fill(route, ids)}"
        answer = acme.browser(role).get(path)
        if answer.status_code not in {200, 302, 405}:
            wrong.append(route)
        if answer.streaming and not getattr(answer, "is_async", False):
            # The client closes it at its end.
            b"".join(answer)

    assert wrong == []


@pytest.mark.parametrize("role", Role)
def test_the_ids_of_another_team_lead_to_nothing_also_for_who_is_in_both(
    acme: Crew, bob: User, role: Role, settings: Settings
) -> None:
    cache.clear()
    bolt = make_crew("Bolt", confirm(bob))
    ids = stock(bolt)
    both = acme.person(role)
    join(bolt.team, both, Role.OWNER)
    browser, before, wrong = signed_in(both), state(), []

    for route in (route for route in DEEDS if "<" in route and route not in WITHOUT_IDS):
        for method in METHODS:
            for prefix in (f"/teams/{acme.team.public_id}", ""):
                status = getattr(browser, method)(f"{prefix}/{fill(route, ids)}").status_code
                if status not in REFUSED:
                    wrong.append((prefix, route, method, status))

    assert wrong == []
    assert state() == before


def test_a_stranger_finds_no_page_of_a_team(acme: Crew, bob: User) -> None:
    ids, browser = stock(acme), signed_in(bob)
    before = state()

    statuses = {
        getattr(browser, method)(f"/teams/{acme.team.public_id}/{fill(route, ids)}").status_code
        for route in DEEDS
        for method in METHODS
    }

    assert statuses == {404}
    assert state() == before
