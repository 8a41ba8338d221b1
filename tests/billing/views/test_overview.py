"""The first page of the dashboard."""

import html
import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role, User
from billing.keys.api_keys import issue_api_key
from billing.ledger.pushes import push_if_possible
from billing.ledger.wallets import (
    freeze_wallet,
    get_wallet,
    grant_credits,
    wallet_of,
)
from billing.models import AutoTopUp, Wallet
from billing.wallet.sync_client import SyncWalletClient
from tests.billing.views.conftest import HTMX, MakeUsage
from tests.conftest import signed_in
from tests.teams import Crew
from tests.till import Till


@pytest.mark.parametrize(
    ("role", "told", "not_told"),
    [
        (
            Role.DEVELOPER,
            ["Create one", "Send a test request", "YOUR_API_KEY"],
            ["Done. Its secret"],
        ),
        (Role.OWNER, ["Its secret was", "Send a test request"], ["Create one"]),
        (Role.BILLING, ["can't create keys", "see who they are"], ["test request", "YOUR_API_KEY"]),
    ],
)
def test_each_member_of_a_team_has_first_steps_of_their_own(
    acme: Crew, role: Role, told: list[str], not_told: list[str]
) -> None:
    issue_api_key(acme.owner, name="The owner's")
    grant_credits(get_wallet(acme.team), credits=1_000, reason="test")

    page = acme.browser(role).get(acme.page("")).content.decode()

    assert [each for each in told if each not in html.unescape(page)] == []
    assert [each for each in not_told if each in html.unescape(page)] == []


def test_it_shows_the_live_balance(alice: User, as_alice: Client) -> None:
    grant_credits(wallet_of(alice), credits=50_000, reason="test")
    push_if_possible(wallet_of(alice).pk)
    Till(alice).place("req_1", 1_500)

    page = as_alice.get("/dashboard/").content.decode()

    assert "48,500" in page
    assert "1,500" in page


def test_it_shows_the_booked_balance_and_says_so_while_redis_recovers(
    alice: User, as_alice: Client, redis_wallets: SyncWalletClient
) -> None:
    grant_credits(wallet_of(alice), credits=50_000, reason="test")
    redis_wallets.redis.flushall()

    page = as_alice.get("/dashboard/").content.decode()

    assert "50,000" in page
    assert "live balance isn" in page


def test_it_says_what_to_do_first(as_alice: Client) -> None:
    page = as_alice.get("/dashboard/").content.decode()

    assert "First steps" in page
    assert "curl -X POST" in page
    assert 'hx-trigger="every 5s"' in page


def test_it_stops_asking_once_the_first_request_is_booked(as_alice: Client, use: MakeUsage) -> None:
    use("req_1")

    part = as_alice.get("/dashboard/", headers=HTMX).content.decode()

    assert "<html" not in part
    assert "hx-trigger" not in part
    assert "/dashboard/usage/req_1/" in part


def test_it_says_that_a_wallet_is_frozen_and_in_debt(alice: User, as_alice: Client) -> None:
    Wallet.objects.filter(team__person=alice).update(debt_credits=120_000)
    freeze_wallet(wallet_of(alice), reason="A payment is disputed")

    page = as_alice.get("/dashboard/").content.decode()

    assert "Your balance is frozen" in page
    assert "A payment is disputed" not in page  # staff writes it for staff
    assert "120,000 credits are owed" in page


def notices(page: Client) -> list[str]:
    """Return the notices about the balance, by the words that they begin with."""
    overview = page.get("/dashboard/").content.decode().partition('id="overview"')[2]
    return re.findall(r'<div class="notice[^"]*".*?<strong>([^<]+)</strong>', overview, re.DOTALL)


@pytest.mark.usefixtures("unchecked_books")
def test_a_balance_that_is_used_up_has_one_notice(
    alice: User, as_alice: Client, use: MakeUsage
) -> None:
    wallet = wallet_of(alice)
    theirs = Wallet.objects.filter(pk=wallet.pk)
    new = notices(as_alice)
    grant_credits(wallet, credits=1_328, reason="test")
    theirs.update(posted_credits=0)
    use("req_1", started_at=timezone.now(), ended_at=timezone.now())

    used_up = notices(as_alice)
    AutoTopUp.objects.create(wallet=wallet, off_reason="declined", off_at=timezone.now())
    declined = notices(as_alice)
    AutoTopUp.objects.update(off_reason="customer")
    theirs.update(debt_credits=1)
    in_debt = notices(as_alice)
    theirs.update(debt_credits=0)
    freeze_wallet(wallet, reason="test")
    frozen = notices(as_alice)

    assert new == []
    assert used_up == ["Your balance is used up."]
    assert declined == ["Automatic top-up was switched off"]
    assert in_debt == ["1 credits are owed."]
    assert frozen == ["Your balance is frozen."]


def test_it_shows_nothing_of_anyone_else(as_bob: Client, use: MakeUsage) -> None:
    use("req_1")

    page = as_bob.get("/dashboard/").content.decode()

    assert "req_1" not in page
    assert "First steps" in page


def test_it_sends_charlie_to_log_in_and_back(as_charlie: Client) -> None:
    answer = as_charlie.get("/dashboard/")

    assert answer.status_code == 302
    assert answer.headers["Location"] == "/accounts/login/?next=/dashboard/"


def test_it_stays_out_of_every_cache(as_alice: Client) -> None:
    answer = as_alice.get("/dashboard/")

    assert "no-store" in answer.headers["Cache-Control"]
    assert "private" in answer.headers["Cache-Control"]


def test_the_header_has_the_balance_of_every_page_and_writes_nothing(
    alice: User, as_alice: Client
) -> None:
    grant_credits(wallet_of(alice), credits=50_000, reason="test")
    clerk = signed_in(User.objects.create_user("clerk@example.com", is_staff=True))
    before = list(Wallet.objects.values())

    pages = [client.get("/packs/").content.decode() for client in (as_alice, clerk)]

    assert ["header-balance" in page for page in pages] == [True, False]
    told = re.sub(r"<[^>]+>", " ", pages[0].split("header-balance")[1])
    assert "Balance 50k credits" in " ".join(told.split())
    assert list(Wallet.objects.values()) == before
