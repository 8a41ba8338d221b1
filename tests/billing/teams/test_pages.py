"""Every page of the dashboard: what each role may see, and that nobody sees another team's rows."""

import re
from dataclasses import dataclass

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey, Role, User
from accounts.teams.addressing import addressing, prefix_of
from accounts.teams.members import own_team
from billing.keys.api_keys import issue_api_key
from billing.ledger.wallets import get_wallet, grant_credits
from billing.models import NotificationSettings, Order, Pack, UsageRecord
from tests import desk
from tests.conftest import signed_in
from tests.teams import Crew, join, make_crew

ALL = frozenset(Role)
MAKERS = ALL - {Role.BILLING}
MONEY = frozenset({Role.OWNER, Role.BILLING})


@dataclass
class Rows:
    """One row of each kind in a team: its developer's key and request, its owner's order."""

    key: ApiKey
    order: Order
    record: UsageRecord


def stock(crew: Crew) -> Rows:
    key, _ = issue_api_key(crew.developer, name=f"Key of {crew.team}")
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
    return Rows(key, order, desk.make_usage(get_wallet(crew.team), key))


def pages(rows: Rows) -> dict[str, frozenset[Role]]:
    """Return every page with who may see it, and with whose ids."""
    key, order = rows.key.pk, str(rows.order.public_id)
    return {
        "/dashboard/": ALL,
        "/dashboard/keys/": MAKERS,
        f"/dashboard/keys/{key}/": MAKERS,
        f"/dashboard/keys/{key}/rotate/": MAKERS,
        f"/dashboard/keys/{key}/revoke/": MAKERS,
        "/dashboard/usage/": ALL,
        f"/dashboard/usage/{rows.record.request_id}/": MAKERS,
        "/dashboard/orders/": MONEY,
        f"/dashboard/orders/{order}/": MONEY,
        "/dashboard/redeem/": MONEY,
        "/dashboard/top-up/": MONEY,
        "/dashboard/statements/": MONEY,
        "/dashboard/settings/notifications/": ALL,
        "/billing/checkout/small/": MONEY,
        f"/billing/cancelled/{order}/": MONEY,
    }


def visit(client: Client, crew: Crew, path: str) -> int:
    return client.get(f"/teams/{crew.team.public_id}{path}").status_code


@pytest.mark.parametrize("role", Role)
def test_each_role_sees_its_pages_and_no_others(acme: Crew, role: Role) -> None:
    client = signed_in(acme.seats[role].user)
    paths = pages(stock(acme))

    seen = {path: visit(client, acme, path) for path in paths}

    for path, roles in paths.items():
        assert (seen[path] == 200) == (role in roles), (path, seen[path])
        assert seen[path] in (200, 403, 404), path


@pytest.mark.parametrize("role", Role)
def test_nothing_of_a_team_is_found_under_another_s_address(
    acme: Crew, bob: User, role: Role
) -> None:
    other = make_crew("Bolt", bob)
    rows = stock(acme)
    user = acme.seats[role].user
    # In both, and in Bolt with every right.
    join(other.team, user, Role.OWNER)
    client = signed_in(user)
    mine = [path for path in pages(rows) if path.count("/") > 3 and "settings" not in path]

    there = {path: visit(client, other, path) for path in mine if "checkout" not in path}
    own = {path: client.get(path).status_code for path in there}

    assert set(there.values()) == {404}, there
    assert set(own.values()) == {404}, own


def test_strangers_are_told_nothing_of_a_team(acme: Crew, bob: User) -> None:
    client, rows = signed_in(bob), stock(acme)

    for path in [*pages(rows), "/", "/packs/", "/nowhere/"]:
        assert visit(client, acme, path) == 404, path
    assert client.get(f"/teams/{own_team(acme.owner.user).public_id}/dashboard/").status_code == 404


def test_visitors_are_asked_to_log_in(acme: Crew, client: Client) -> None:
    answer = client.get(f"/teams/{acme.team.public_id}/dashboard/keys/")

    assert answer.status_code == 302
    assert answer.headers["Location"].endswith(
        f"?next=/teams/{acme.team.public_id}/dashboard/keys/"
    )


def test_every_link_of_a_team_s_page_stays_in_the_team(acme: Crew) -> None:
    prefix = f"/teams/{acme.team.public_id}"

    page = signed_in(acme.owner.user).get(f"{prefix}/dashboard/keys/").content.decode()

    assert f'href="{prefix}/dashboard/orders/"' in page
    # Only the switcher leads to the reader's own.
    assert set(re.findall(r'="(/dashboard/[^"]*)"', page)) == {"/dashboard/"}


def test_the_address_decides_also_in_a_tab_that_is_old(acme: Crew) -> None:
    client = signed_in(acme.owner.user)
    form = {"name": "From the old tab", "models_scope": "all", "networks_scope": "all"}
    client.get("/dashboard/keys/")

    client.post(f"/teams/{acme.team.public_id}/dashboard/keys/new/", form)
    client.post("/dashboard/keys/new/", {**form, "name": "My own"})

    made = dict(ApiKey.objects.values_list("name", "team"))
    assert made == {
        "From the old tab": acme.team.pk,
        "My own": own_team(acme.owner.user).pk,
    }


def keep(user: User, path: str) -> Client:
    """Ask for a key without having signed in lately: the request is kept."""
    client = Client()
    client.force_login(user)
    form = {"name": "CI", "lifetime": "", "models_scope": "all", "networks_scope": "all"}
    answer = client.post(path, form)
    assert "/accounts/reauthenticate/" in answer.headers["Location"]
    return client


def test_a_kept_request_is_carried_out_in_its_team(acme: Crew) -> None:
    path = f"/teams/{acme.team.public_id}/dashboard/keys/new/"
    client = keep(acme.owner.user, path)

    answer = client.post(
        f"/teams/{acme.team.public_id}/accounts/reauthenticate/",
        {"password": "correct horse battery", "next": path},
    )

    assert answer.status_code == 200
    assert ApiKey.objects.get().team == acme.team


def test_a_kept_request_finds_its_team_also_from_one_s_own_page(acme: Crew) -> None:
    path = f"/teams/{acme.team.public_id}/dashboard/keys/new/"
    client = keep(acme.owner.user, path)

    client.post("/accounts/reauthenticate/", {"password": "correct horse battery", "next": path})

    assert ApiKey.objects.get().team == acme.team
    assert reverse("dashboard") == "/dashboard/"


def test_an_address_in_an_address_leads_nowhere(acme: Crew) -> None:
    client, prefix = signed_in(acme.owner.user), f"/teams/{acme.team.public_id}"

    assert client.get(f"{prefix}{prefix}/dashboard/").status_code == 404


def test_a_kept_request_is_not_carried_out_under_another_team_s_address(acme: Crew) -> None:
    client = keep(acme.owner.user, "/dashboard/keys/new/")

    answer = client.post(
        f"/teams/{acme.team.public_id}/accounts/reauthenticate/",
        {"password": "correct horse battery", "next": "/dashboard/keys/new/"},
    )

    assert answer.status_code == 404
    assert not ApiKey.objects.exists()


def test_a_developer_sees_only_their_own_keys_and_usage(acme: Crew) -> None:
    rows = stock(acme)
    other, _ = issue_api_key(acme.admin, name="Key of the admin")
    record = desk.make_usage(get_wallet(acme.team), other, request_id="req_admin")
    client = signed_in(acme.developer.user)

    keys = client.get(f"/teams/{acme.team.public_id}/dashboard/keys/").content.decode()

    assert rows.key.name in keys
    assert other.name not in keys
    assert visit(client, acme, f"/dashboard/keys/{other.pk}/") == 404
    assert visit(client, acme, f"/dashboard/usage/{record.request_id}/") == 404
    usage = client.get(f"/teams/{acme.team.public_id}/dashboard/usage/").content.decode()
    assert "req_admin" not in usage
    assert visit(signed_in(acme.admin.user), acme, f"/dashboard/keys/{rows.key.pk}/") == 200


def test_an_address_is_one_s_own_without_a_prefix(acme: Crew, alice: User, bob: User) -> None:
    mine = own_team(alice)

    assert prefix_of(mine, alice) == ""
    assert prefix_of(mine, bob) == f"/teams/{mine.public_id}"
    with addressing(acme.team, alice):
        assert reverse("dashboard") == f"/teams/{acme.team.public_id}/dashboard/"
        with addressing(None, alice):
            assert reverse("dashboard") == "/dashboard/"
    assert reverse("dashboard") == "/dashboard/"


def test_who_is_told_of_a_low_balance_is_who_looks_after_money(acme: Crew) -> None:
    grant_credits(get_wallet(acme.team), credits=1_000_000, reason="test")

    armed = NotificationSettings.objects.filter(team=acme.team)
    assert set(armed.values_list("user", flat=True)) == {
        acme.owner.user_id,
        acme.billing.user_id,
    }
