"""Signing in from somewhere new is mailed."""

import pytest
from django.test import Client

from accounts.models import User
from billing.models import Notice, SignIn
from billing.notices.sign_ins import MOST_KNOWN, name_device, note_sign_in
from billing.wallet.sync_client import SyncWalletClient
from common.client_networks import SITE_IPV6_BITS, network_of
from tests.accounts.sign_up import PASSWORD
from tests.user_agents import CHROME, EDGE, FIREFOX, IPHONE

HOME, AWAY = "203.0.113.9", "198.51.100.7"


def sign_in(user: User, device: str, agent: str = FIREFOX, address: str = HOME) -> bool:
    return note_sign_in(user, device_id=device, user_agent=agent, address=address)


def test_the_first_sign_in_is_nothing_new(alice: User) -> None:
    assert sign_in(alice, "desk") is False


@pytest.mark.parametrize(
    ("device", "agent", "address", "is_new"),
    [
        ("desk", FIREFOX, HOME, False),
        ("desk", FIREFOX, AWAY, False),
        ("cookies-deleted", FIREFOX, "203.0.113.77", False),
        ("phone", IPHONE, HOME, True),
        ("cafe", FIREFOX, AWAY, True),
    ],
)
def test_a_new_browser_in_a_new_place_is_told(
    alice: User, device: str, agent: str, address: str, is_new: bool
) -> None:
    sign_in(alice, "desk")

    assert sign_in(alice, device, agent, address) is is_new


def test_the_second_time_it_is_known(alice: User) -> None:
    sign_in(alice, "desk")
    sign_in(alice, "phone", IPHONE, AWAY)

    assert sign_in(alice, "phone", IPHONE, AWAY) is False
    assert Notice.objects.get().facts["device_name"] == "Safari on iPhone"


def test_what_bob_uses_is_new_to_alice(alice: User, bob: User) -> None:
    sign_in(alice, "desk")
    sign_in(bob, "bobs", CHROME, AWAY)

    assert sign_in(alice, "bobs", CHROME, AWAY) is True


def test_only_the_latest_are_remembered(alice: User) -> None:
    for number in range(MOST_KNOWN + 5):
        sign_in(alice, f"device-{number}")

    assert SignIn.objects.filter(user=alice).count() == MOST_KNOWN


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (CHROME, "Chrome on Windows"),
        (EDGE, "Edge on Windows"),
        (IPHONE, "Safari on iPhone"),
        ("curl/8.0", "An unknown program"),
        ("", "An unknown program"),
    ],
)
def test_a_browser_has_a_name_that_people_know(agent: str, name: str) -> None:
    assert name_device(agent) == name


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("not an address", "unknown"),
    ],
)
def test_an_address_has_a_network(address: str, network: str) -> None:
    assert network_of(address, ipv6_bits=SITE_IPV6_BITS) == network


def log_in(client: Client, user: User, *, agent: str) -> None:
    answer = client.post(
        "/accounts/login/",
        {"login": user.email, "password": PASSWORD},
        headers={"User-Agent": agent},
    )
    assert answer.headers["Location"] == "/dashboard/"


def test_logging_in_with_another_browser_mails_the_owner(alice: User) -> None:
    log_in(Client(), alice, agent=FIREFOX)
    log_in(Client(), alice, agent=IPHONE)

    assert Notice.objects.get().facts["device_name"] == "Safari on iPhone"
    assert Notice.objects.get().facts["address"] == "127.0.0.1"


def test_a_browser_is_known_by_its_cookie(alice: User) -> None:
    client = Client()
    log_in(client, alice, agent=FIREFOX)
    client.post("/accounts/logout/")

    log_in(client, alice, agent=CHROME)

    assert not Notice.objects.exists()
    cookie = client.cookies["device"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")


def test_signing_up_is_no_new_sign_in(redis_wallets: SyncWalletClient, db: None) -> None:
    Client().post("/accounts/signup/", {"email": "dora@example.com", "password1": PASSWORD})

    assert SignIn.objects.get().user.email == "dora@example.com"
    assert not Notice.objects.exists()
