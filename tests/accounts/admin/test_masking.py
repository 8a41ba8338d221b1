"""What of an address staff see who may not see addresses."""

import time

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.desk.masking import mask
from accounts.desk.roles import make_roles
from accounts.models import User
from billing.models import Order, Wallet
from tests import desk


@pytest.fixture
def support(db: None) -> Client:
    make_roles()
    user = User.objects.create_user("sue@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name="Support"))
    return desk.log_in(user)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Wallet of alice@example.com: frozen", "Wallet of a…@example.com: frozen"),
        ("<b>alice@example.com</b>", "<b>a…@example.com</b>"),
        ('"&quot;&lt;i&gt;&quot;@x.example"', '"&quot;…@x.example"'),
        ("?q=alice%40example.com", "?…@example.com"),
        ("from 203.0.113.7, twice", "from 203.0.…, twice"),
        ("203.0.113.0/24", "203.0.…/24"),
        ("2001:db8:1:2::7", "2001:0db8:…"),
        ("::ffff:203.0.113.7", "0000:0000:…"),
        ("at 12:00:00", "at 12:00:00"),
        ("version 1.2.3", "version 1.2.3"),
        ("5 @ 3", "5 @ 3"),
        ("It ends. 9.", "It ends. 9."),
    ],
)
def test_addresses_are_masked(text: str, shown: str) -> None:
    assert mask(text) == shown


def test_it_takes_no_longer_than_the_page_is_long() -> None:
    def seconds(length: int) -> float:
        began = time.process_time()
        mask("a" * length + "." * length + "@" * length + "1:" * length)
        return time.process_time() - began

    seconds(1_000)
    assert seconds(400_000) < 20 * max(seconds(100_000), 0.02)


def test_support_sees_whom_it_helps_and_not_where_they_are(support: Client) -> None:
    alice = desk.make_customer("alice@example.net")
    Order.objects.update(client_address="203.0.113.7")

    pages = [
        support.get(url, follow=True).content.decode()
        for url in (
            desk.list_url(User),
            desk.list_url(Wallet),
            desk.page_url(alice.wallet),
            desk.page_url(alice.user),
            desk.page_url(alice.order),
            desk.list_url(Wallet) + "?q=ali",
        )
    ]

    assert all("a…@example.net" in page for page in pages)
    assert not any("alice@" in page or "alice%40" in page for page in pages)
    assert not any("203.0.113.7" in page for page in pages)


def test_what_staff_typed_stays(support: Client) -> None:
    desk.make_customer("alice@example.net")

    page = support.get(desk.list_url(Wallet), {"q": "alice@example.net"}).content.decode()

    assert 'value="alice@example.net"' in page


def test_a_file_that_cannot_be_masked_is_refused(support: Client) -> None:
    alice = desk.make_customer("alice@example.net")
    base = f"/admin/billing/wallet/{alice.wallet.pk}/statements/"
    month = f"{alice.wallet.entries.latest('pk').created_at:%Y-%m}"

    assert support.get(f"{base}{month}.pdf").status_code == 403
    assert "alice@" not in support.get(f"{base}{month}.csv").content.decode()


def test_others_see_addresses(db: None) -> None:
    owner = desk.make_staff("owner@example.com", "billing.view_wallet", "accounts.see_addresses")
    desk.make_customer("alice@example.net")

    assert "alice@example.net" in owner.get(desk.list_url(Wallet)).content.decode()
