"""No address answers somebody whom its id is not of: every pattern × every method × every visitor.

The patterns are read from the resolver. One with a parameter that has no row here fails the first
test, so a new page says whose its ids are. A new kind of visitor, such as a role in a team, is a
row of VISITORS and what it may in ANSWERS.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib import admin
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from accounts.desk.actions import StaffActionsAdmin
from accounts.models import Invitation, Membership, Role, User
from accounts.teams.invitations import invite
from accounts.teams.members import own_seat
from billing.models import Order, WebhookDelivery
from tests.conftest import signed_in
from tests.desk import (
    WEBHOOK_HOST,
    Buyer,
    make_customer,
    make_delivery,
    make_event,
    make_inbox_item,
    make_provider,
)
from tests.rows import everything
from tests.teams import confirm, confirmed

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
# Whose the id is in these: the parameters that lead to what is Alice's.
OWNED: dict[str, Callable[["Belongings"], dict[str, object]]] = {
    "dashboard/keys/<int:key_id>/": lambda alice: {"key_id": alice.buyer.key.pk},
    "dashboard/keys/<int:key_id>/rotate/": lambda alice: {"key_id": alice.buyer.key.pk},
    "dashboard/keys/<int:key_id>/end-rotation/": lambda alice: {"key_id": alice.buyer.key.pk},
    "dashboard/keys/<int:key_id>/pause/": lambda alice: {"key_id": alice.buyer.key.pk},
    "dashboard/keys/<int:key_id>/resume/": lambda alice: {"key_id": alice.buyer.key.pk},
    "dashboard/keys/<int:key_id>/revoke/": lambda alice: {"key_id": alice.buyer.key.pk},
    "dashboard/usage/<slug:request_id>/": lambda alice: {
        "request_id": alice.buyer.record.request_id
    },
    "dashboard/orders/<uuid:public_id>/": lambda alice: {"public_id": alice.buyer.order.public_id},
    "dashboard/orders/<uuid:public_id>/receipt/": lambda alice: {
        "public_id": alice.buyer.order.public_id
    },
    "dashboard/orders/<uuid:public_id>/invoice/": lambda alice: {
        "public_id": alice.buyer.order.public_id
    },
    "dashboard/orders/<uuid:public_id>/refund/": lambda alice: {
        "public_id": alice.buyer.order.public_id
    },
    "dashboard/team/invitations/<int:invitation_id>/resend/": lambda alice: {
        "invitation_id": alice.invitation.pk
    },
    "dashboard/team/invitations/<int:invitation_id>/revoke/": lambda alice: {
        "invitation_id": alice.invitation.pk
    },
    "dashboard/invitations/<int:invitation_id>/": lambda alice: {"invitation_id": alice.invited.pk},
    "dashboard/team/members/<int:member_id>/": lambda alice: {"member_id": alice.seat.pk},
    "dashboard/team/members/<int:member_id>/caps/": lambda alice: {"member_id": alice.seat.pk},
    "dashboard/team/members/<int:member_id>/role/": lambda alice: {"member_id": alice.seat.pk},
    "dashboard/team/members/<int:member_id>/hand-over/": lambda alice: {"member_id": alice.seat.pk},
    "dashboard/team/members/<int:member_id>/remove/": lambda alice: {"member_id": alice.seat.pk},
    "dashboard/settings/deliveries/<int:delivery_id>/": lambda alice: {
        "delivery_id": alice.delivery.pk
    },
    "dashboard/settings/deliveries/<int:delivery_id>/again/": lambda alice: {
        "delivery_id": alice.delivery.pk
    },
    "dashboard/settings/webhooks/<int:webhook_id>/": lambda alice: {
        "webhook_id": alice.delivery.webhook_id
    },
    "dashboard/settings/webhooks/<int:webhook_id>/renew/": lambda alice: {
        "webhook_id": alice.delivery.webhook_id
    },
    "dashboard/settings/webhooks/<int:webhook_id>/test/": lambda alice: {
        "webhook_id": alice.delivery.webhook_id
    },
    "dashboard/settings/webhooks/<int:webhook_id>/switch/": lambda alice: {
        "webhook_id": alice.delivery.webhook_id
    },
    "dashboard/settings/webhooks/<int:webhook_id>/remove/": lambda alice: {
        "webhook_id": alice.delivery.webhook_id
    },
    "billing/cancelled/<uuid:public_id>/": lambda alice: {"public_id": alice.buyer.order.public_id},
    "accounts/2fa/webauthn/keys/<int:pk>/edit/": lambda alice: {"pk": alice.passkey.pk},
    "accounts/2fa/webauthn/keys/<int:pk>/remove/": lambda alice: {"pk": alice.passkey.pk},
}
# What is in these leads to nobody's rows, or is itself the right to them.
NOBODYS = {
    "dashboard/statements/<str:month>.<str:form>": "a month of whoever asks",
    "billing/checkout/<slug:slug>/": "a pack, which is on sale for everybody",
    "pause/<str:signed>/": "a signed link: tests/billing/notices/test_webhooks.py",
    "status/confirm/<str:signed>/": "a signed link: tests/billing/notices/test_status_mails.py",
    "status/unsubscribe/<str:signed>/": "a signed link: the same",
    "invitations/<str:secret>/": "a secret: tests/billing/teams/test_invitations.py",
    "teams/<uuid:public_id>/<path:rest>": "any page: tests/billing/teams/test_pages.py",
    "models/<path:name>/": "a model, which is on sale for everybody",
    "docs/<slug:slug>/": "a page for everybody",
    "<legal:kind>/": "a page for everybody",
    "<legal:kind>/<int:version>/": "a page for everybody",
    "docs/<slug:slug>.md": "a page for everybody",
    "accounts/confirm-email/<str:key>/": "a signed link: test_takeovers.py",
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$": "the one above comes first",
    "^accounts/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "a signed link",
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "the one above",
}
OF_THE_API = {
    "v1/models/<path:name>": "a model, which is on sale for everybody",
    "v1/usage/<str:request_id>": "tests/proxy/api/test_receipts.py",
}
# Ids in a query or a form, of what is Alice's.
ASKED = {
    "/billing/return/?session_id={session}": {},
    "/dashboard/usage/?key={key}": {},
    "/dashboard/usage/?before={record}": {},
    "/dashboard/top-up/saved/?session_id={session}": {},
    "/accounts/sessions/": {"session": "{sitting}"},
    "/accounts/email/": {"action_remove": "", "email": "{email}"},
    "/accounts/2fa/webauthn/": {"pk": "{passkey}"},
    "/dashboard/keys/": {"key_id": "{key}"},
}
DESK = "admin/"
GONE = {404, 405}
LOG_IN = {302, 404, 405}
OUTSIDE = {302, 403, 404, 405}


@dataclass
class Belongings:
    """What Alice has."""

    buyer: Buyer
    passkey: Authenticator
    seat: Membership
    invitation: Invitation
    invited: Invitation
    delivery: WebhookDelivery
    key_name: str = "Alice's own laptop"

    @property
    def marks(self) -> list[str]:
        """What only a page about Alice has. What a visitor asked for is no news to them."""
        return [
            self.buyer.user.email,
            self.key_name,
            "Alice's passkey",
            self.invitation.email,
            WEBHOOK_HOST,
        ]


def fresh(user: User) -> Client:
    """Sign in so that neither the product nor allauth asks for the password again."""
    client = signed_in(user)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
    session.save()
    return client


def clerk() -> Client:
    """A member of staff whom no permission was given."""
    return fresh(User.objects.create_user("clerk@example.com", is_staff=True))


VISITORS: dict[str, Callable[[], Client]] = {
    "nobody": Client,
    "another customer": lambda: fresh(make_customer("bob@example.com").user),
    "the desk's clerk": clerk,
}
# Which statuses they get at a customer's own pages, and at the desk.
ANSWERS: dict[str, tuple[set[int], set[int]]] = {
    "nobody": (LOG_IN, OUTSIDE),
    "another customer": (GONE, OUTSIDE),
    "the desk's clerk": (GONE, OUTSIDE),
}


@pytest.fixture
def alice(db: None, redis_wallets: object, settings: Settings) -> Belongings:
    cache.clear()
    buyer = make_customer("alice@example.com")
    confirm(buyer.user)
    belongings = Belongings(
        buyer,
        Authenticator.objects.create(
            user=buyer.user,
            type=Authenticator.Type.WEBAUTHN,
            data={"name": "Alice's passkey", "credential": {}},
        ),
        own_seat(buyer.user),
        invite(own_seat(buyer.user), "somebody@example.com", Role.ADMIN)[0],
        invite(own_seat(confirmed("carol")), buyer.user.email, Role.DEVELOPER)[0],
        make_delivery(own_seat(buyer.user)),
    )
    buyer.key.name = belongings.key_name
    buyer.key.save()
    # Stripe is not asked about an order that never reached it.
    Order.objects.update(stripe_session_id=None)
    make_event()
    make_inbox_item()
    make_provider()
    return belongings


def patterns(urlconf: str | None = None) -> list[str]:
    """Return every pattern that has a parameter."""
    found = (prefix + str(each.pattern) for prefix, each in walk(get_resolver(urlconf), ""))
    return sorted({route for route in found if "<" in route})


def walk(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for each in resolver.url_patterns:
        if isinstance(each, URLPattern):
            yield prefix, each
        else:
            yield from walk(each, prefix + str(each.pattern))


def fill(route: str, values: dict[str, object]) -> str:
    """Return the path; every parameter must have a value."""
    return "/" + PARAMETER.sub(lambda found: str(values[found[1]]), route)


def desk_paths() -> list[str]:
    """Return every page of the desk with the id of a row, and every action with its name."""
    paths = []
    for model, page in admin.site._registry.items():
        base = f"admin/{model._meta.label_lower.replace('.', '/')}/"
        row = model._default_manager.order_by("pk").first()
        pk = row.pk if row else 1
        paths += [fill(route, ids(pk)) for route in patterns() if is_row_page(route, base)]
        if isinstance(page, StaffActionsAdmin):
            paths += [f"/{base}do/{each.name}/?ids={pk}" for each in page.staff_actions]
    seat = Membership.objects.order_by("pk").first()
    member_id = seat.pk if seat else 1
    paths += [f"/admin/as/{member_id}/{rest}" for rest in ("end/", "dashboard/", "dashboard/keys/")]
    return paths


def is_row_page(route: str, base: str) -> bool:
    return route.startswith(base) and "do/<slug:name>/" not in route


def ids(pk: object) -> dict[str, object]:
    return {
        "object_id": pk,
        "export_id": pk,
        "id": pk,
        "wallet_id": pk,
        "month": "2026-03",
        "form": "csv",
    }


def assert_unchanged(before: set[str]) -> None:
    """What there was is there; what is new is what a visitor gets with a first visit."""
    after = everything()
    assert before <= after
    made = {row.partition(":")[0] for row in after - before}
    assert made <= {
        "account_emailaddress",
        "accounts_membership",
        "accounts_team",
        "billing_autotopup",
        "billing_wallet",
    }


def shown(answer: Any) -> str:
    content = b"".join(answer) if answer.streaming else answer.content
    return str(content.decode(errors="replace"))


def test_every_pattern_with_a_parameter_has_a_row() -> None:
    of_the_site = {route for route in patterns() if not route.startswith(DESK)}

    assert of_the_site == OWNED.keys() | NOBODYS.keys()
    assert set(patterns("proxy.urls")) == OF_THE_API.keys()


@pytest.mark.parametrize("visitor", VISITORS)
def test_what_is_alices_answers_nobody_else(alice: Belongings, visitor: str) -> None:
    client, (allowed, _) = VISITORS[visitor](), ANSWERS[visitor]
    before = everything()
    wrong = []

    # A customer's own pages, and those that are asked for as somebody in Alice's team.
    paths = [fill(route, find(alice)) for route, find in OWNED.items()]
    paths += [f"/teams/{alice.buyer.wallet.team.public_id}{path}" for path in paths]
    for path in paths:
        for method in METHODS:
            answer = getattr(client, method)(path)
            told = [mark for mark in alice.marks if mark in shown(answer)]
            is_refused = answer.status_code in allowed or method == "options"
            if not is_refused or told:
                wrong.append((method, path, answer.status_code, told))

    assert wrong == []
    assert_unchanged(before)


@pytest.mark.parametrize("visitor", VISITORS)
def test_ids_in_a_query_or_a_form_lead_to_nothing_of_alices(
    alice: Belongings, visitor: str
) -> None:
    Order.objects.filter(pk=alice.buyer.order.pk).update(stripe_session_id="cs_test_of_alice")
    sitting = signed_in(alice.buyer.user)
    UserSession.objects.create(
        user=alice.buyer.user,
        ip="192.0.2.1",
        session_key=sitting.session.session_key,
        user_agent="Mozilla",
    )
    theirs = {
        "session": "cs_test_of_alice",
        "key": alice.buyer.key.pk,
        "record": alice.buyer.record.pk,
        "passkey": alice.passkey.pk,
        "sitting": UserSession.objects.get().pk,
        "email": alice.buyer.user.email,
    }
    client = VISITORS[visitor]()
    before = everything()

    for page, form in ASKED.items():
        typed = {name: value.format(**theirs) for name, value in form.items()}
        for answer in (
            client.get(page.format(**theirs)),
            client.post(page.format(**theirs), typed),
        ):
            unasked = [mark for mark in alice.marks if mark not in typed.values()]
            assert answer.status_code < 500, page
            assert [mark for mark in unasked if mark in shown(answer)] == [], page

    assert_unchanged(before)
    assert sitting.get("/dashboard/").status_code == 200


@pytest.mark.parametrize("visitor", ["nobody", "its owner", "the desk's clerk"])
def test_the_desk_answers_nobody_who_was_not_let_in(alice: Belongings, visitor: str) -> None:
    visitors: dict[str, Callable[[], Client]] = {
        **VISITORS,
        "its owner": lambda: fresh(alice.buyer.user),
    }
    client = visitors[visitor]()
    _, allowed = ANSWERS.get(visitor, (GONE, OUTSIDE))
    before = everything()
    wrong = []

    for path in desk_paths():
        for method in ("get", "post"):
            answer = getattr(client, method)(path)
            # An old address of a row leads to the present one, and that of no row to the desk.
            leads = answer.get("Location", "").removesuffix("change/")
            if answer.status_code not in allowed or not (
                "/login/" in leads or leads in {"", "/admin/", path}
            ):
                wrong.append((method, path, answer.status_code, leads))

    assert wrong == []
    assert_unchanged(before)


def test_the_same_addresses_answer_their_owner_and_a_superuser(alice: Belongings) -> None:
    owner = fresh(alice.buyer.user)
    root = fresh(User.objects.create_superuser("root@example.com"))
    dead = []

    for route, find in OWNED.items():
        answers = [getattr(owner, method)(fill(route, find(alice))) for method in ("get", "post")]
        if all(answer.status_code >= 400 for answer in answers):
            dead.append(route)
    for row in rows_of(alice):
        path = f"/admin/{row._meta.label_lower.replace('.', '/')}/{row.pk}/change/"
        if root.get(path).status_code != 200:
            dead.append(path)

    assert dead == []


def rows_of(alice: Belongings) -> list[Any]:
    buyer = alice.buyer
    entry = apps.get_model("billing", "LedgerEntry").objects.filter(wallet=buyer.wallet).first()
    return [buyer.user, buyer.wallet, buyer.key, buyer.order, buyer.record, entry]
