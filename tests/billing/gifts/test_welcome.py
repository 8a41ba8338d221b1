"""Welcome credit: once per person, as far as that can be told."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from billing.gifts.welcome import grant_welcome_credit, normalize_address
from billing.leaving.deletion import delete_account
from billing.models import Lot, WelcomeCredit
from billing.wallet.sync_client import SyncWalletClient
from common.client_networks import HOME_IPV6_BITS, network_of
from tests.accounts.sign_up import LINK, PASSWORD
from tests.billing.payments.conftest import posted
from tests.racing import before_statement, race

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOME, AWAY = "203.0.113.9", "198.51.100.7"


@pytest.fixture(autouse=True)
def generous(settings: Settings) -> None:
    """5,000 credits for 14 days; a network once in 30 days."""
    settings.WELCOME_CREDITS = 5_000
    settings.WELCOME_CREDIT_DAYS = 14
    settings.WELCOME_NETWORK_DAYS = 30


def welcome(user: User, *, email: str = "", ip: str = HOME) -> bool:
    entry = grant_welcome_credit(user, email=email or user.email, ip_address=ip)
    return entry is not None


def test_a_new_customer_is_welcomed_for_a_while(alice: User) -> None:
    with time_machine.travel(NOON, tick=False):
        assert welcome(alice)

    lot = Lot.objects.get()
    assert (lot.remaining_credits, lot.is_promotional) == (5_000, True)
    assert lot.expires_at == NOON + timedelta(days=14)


def test_it_is_off_by_default(alice: User, settings: Settings) -> None:
    settings.WELCOME_CREDITS = 0

    assert not welcome(alice)
    assert not WelcomeCredit.objects.exists()


def test_once_is_enough(alice: User) -> None:
    assert [welcome(alice), welcome(alice, email="other@example.org", ip=AWAY)] == [True, False]
    assert posted(alice) == 5_000


@pytest.mark.parametrize(
    "email",
    ["a.l.i.c.e@gmail.com", "Alice+2@Gmail.com", "alice@googlemail.com", "ＡＬＩＣＥ@gmail.com"],
)
def test_one_mailbox_is_one_person(alice: User, bob: User, email: str) -> None:
    welcome(alice, email="alice@gmail.com")

    assert not welcome(bob, email=email, ip=AWAY)
    refused = WelcomeCredit.objects.get(user=bob)
    assert (refused.refusal, refused.credits) == ("address", 0)
    assert posted(bob) == 0


@pytest.mark.parametrize(
    ("email", "normal"),
    [
        ("A.Lice+x@Example.com", "a.lice@example.com"),
        ("a.l.i+c@GoogleMail.com", "ali@gmail.com"),
        ("x@münchen.example", "x@xn--mnchen-3ya.example"),
        ("x@XN--MNCHEN-3YA.example", "x@xn--mnchen-3ya.example"),
        ("STRASSE@x.example", "strasse@x.example"),
        ("straße@x.example", "strasse@x.example"),
        ("+@x.example", "@x.example"),
        ("x@" + "a" * 70 + ".example", "x@" + "a" * 70 + ".example"),
    ],
)
def test_an_address_is_compared_as_providers_do(email: str, normal: str) -> None:
    assert normalize_address(email) == normal


@pytest.mark.parametrize(
    ("ip", "days", "is_welcomed"),
    [
        ("203.0.113.200", 29, False),
        ("203.0.113.200", 31, True),
        ("203.0.114.9", 0, True),
    ],
)
def test_a_network_is_welcomed_once_in_a_while(
    alice: User, bob: User, ip: str, days: int, is_welcomed: bool
) -> None:
    with time_machine.travel(NOON, tick=False):
        welcome(alice)

    with time_machine.travel(NOON + timedelta(days=days), tick=False):
        assert welcome(bob, ip=ip) is is_welcomed


def test_who_was_refused_for_the_network_may_be_welcomed_later(alice: User, bob: User) -> None:
    with time_machine.travel(NOON, tick=False):
        welcome(alice)
        welcome(bob)

    with time_machine.travel(NOON + timedelta(days=31), tick=False):
        assert welcome(bob)

    assert posted(bob) == 5_000


@pytest.mark.parametrize(
    ("other", "is_welcome"),
    [("2001:db8:1:ffff::1", False), ("2001:db8:2::1", True)],
)
def test_an_ipv6_site_is_one_network(alice: User, bob: User, other: str, is_welcome: bool) -> None:
    welcome(alice, ip="2001:db8:1::1")

    assert welcome(bob, ip=other) is is_welcome


def test_a_mail_domain_is_welcomed_a_few_times_and_a_free_one_always(
    redis_wallets: SyncWalletClient, db: None, settings: Settings
) -> None:
    settings.WELCOME_PER_DOMAIN = 2
    settings.WELCOME_FREE_MAIL = ["gmail.com"]
    given: dict[str, list[bool]] = {"cheap.example": [], "gmail.com": []}

    for network, domain in enumerate(given):
        for number in range(4):
            user = User.objects.create_user(f"user{number}@{domain}")
            given[domain].append(welcome(user, ip=f"198.{network}.{number}.1"))

    assert given == {"cheap.example": [True, True, False, False], "gmail.com": [True] * 4}
    assert WelcomeCredit.objects.filter(refusal="domain").count() == 2


@pytest.mark.django_db(transaction=True)
def test_who_leaves_and_comes_again_from_the_same_network_or_domain_is_not_welcomed_anew(
    redis_wallets: SyncWalletClient, settings: Settings
) -> None:
    settings.WELCOME_PER_DOMAIN = 1
    first, second, third = (User.objects.create_user(f"user{n}@cheap.example") for n in range(3))
    welcome(first)

    delete_account(first)

    assert not welcome(second, email="elsewhere@other.example")
    assert not welcome(third, ip=AWAY)
    refused = WelcomeCredit.objects.exclude(refusal="").order_by("pk")
    assert list(refused.values_list("refusal", flat=True)) == ["network", "domain"]


def test_a_domain_is_counted_by_an_index(db: None, settings: Settings) -> None:
    counted = WelcomeCredit.objects.filter(
        refusal="", domain__in=("a.example", "b"), created_at__gt=NOON
    )

    with connection.cursor() as cursor:
        # An empty table is read as a whole otherwise.
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = counted.explain()

    assert "welcomed_domains" in plan


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        (HOME, "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ],
)
def test_a_household_is_a_network(ip: str, network: str) -> None:
    assert network_of(ip, ipv6_bits=HOME_IPV6_BITS) == network


@pytest.mark.django_db(transaction=True)
def test_a_whole_network_at_once_is_welcomed_once(redis_wallets: SyncWalletClient) -> None:
    users = [User.objects.create_user(f"user-{n}@example.com") for n in range(4)]

    won = race([lambda user=user: welcome(user) for user in users])  # type: ignore[misc]

    assert won.count(True) == 1
    assert sum(posted(user) for user in users) == 5_000


def verify(client: Client, email: str) -> str:
    """Sign up, follow the link in the mail and return the page that comes."""
    client.post("/accounts/signup/", {"email": email, "password1": PASSWORD})
    link = LINK.search(str(mail.outbox[-1].body))
    assert link is not None
    return client.post(link[1], follow=True).content.decode()


def test_verifying_an_address_brings_the_credit(redis_wallets: SyncWalletClient, db: None) -> None:
    page = verify(Client(), "dora@example.com")

    assert "Welcome! 5,000 credits are in your balance." in page
    assert posted(User.objects.get()) == 5_000


@pytest.mark.django_db(transaction=True)
def test_who_was_not_welcomed_because_the_process_died_is_when_it_is_tried_again(
    redis_wallets: SyncWalletClient,
) -> None:
    def die() -> None:
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        before_statement('INSERT INTO "billing_welcomecredit"', die),
    ):
        verify(dora := Client(), "dora@example.com")
    assert not EmailAddress.objects.get().verified

    link = LINK.search(str(mail.outbox[-1].body))
    assert link is not None
    dora.post(link[1])

    assert EmailAddress.objects.get().verified
    assert posted(User.objects.get()) == 5_000


def test_a_refusal_is_not_told(redis_wallets: SyncWalletClient, db: None) -> None:
    verify(Client(), "dora@example.com")

    page = verify(Client(), "dora+2@example.com")

    assert EmailAddress.objects.filter(verified=True).count() == 2
    assert not re.search("welcome|refus|network", page, re.IGNORECASE)
    assert WelcomeCredit.objects.get(user__email="dora+2@example.com").refusal == "address"
