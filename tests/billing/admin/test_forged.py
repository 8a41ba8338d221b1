"""Forms that no page of the desk would send: another's ids, other amounts, sent again.

One deed may be worth 500 credits. Fay asked to grant 501 to Alice; Finn may approve it.
"""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from accounts.desk.roles import make_roles
from accounts.models import AuditLine, User
from accounts.teams.members import own_seat
from billing.models import Approval, LedgerEntry, Wallet
from proxy.models import Provider, ProviderKey
from proxy.upstreams.providers.setup import add_key
from tests import desk
from tests.rows import everything

WHY = {"reason": "Sorry for Monday"}


def hire(name: str) -> Client:
    user = User.objects.create_user(f"{name}@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name="Finance"))
    return desk.log_in(user)


@pytest.fixture
def fay(db: None, settings: Settings) -> Client:
    settings.DESK_DEED_CREDITS = 500
    make_roles()
    return hire("fay")


@pytest.fixture
def finn(fay: Client) -> Client:
    return hire("finn")


@pytest.fixture
def asked(fay: Client, alice: desk.Buyer) -> dict[str, Any]:
    """What Fay sent when she asked."""
    form = {**WHY, "credits": "501", "once": str(uuid4())}
    fay.post(desk.do_url("grant", alice.wallet), form)
    return form


def posted(wallet: Wallet) -> int:
    return Wallet.objects.get(pk=wallet.pk).posted_credits


def approve(browser: Client, **more: Any) -> str:
    url = desk.do_url("approve", Approval.objects.earliest("pk"))
    answer = browser.post(url, {"reason": "Looked at", **more}, follow=True)
    return str(answer.content.decode())


@pytest.mark.parametrize(
    "more",
    [
        {"credits": "999999"},
        {"answers": '{"credits": ["999999"]}', "worth_credits": "1"},
        {"object_id": "1", "page": "billing.order", "action": "refund"},
        {"asked_by": "1", "state": "approved"},
    ],
)
def test_an_approval_does_what_was_asked_for_whatever_is_sent_with_it(
    more: dict[str, str], asked: dict[str, Any], finn: Client, alice: desk.Buyer
) -> None:
    approve(finn, **more)

    assert posted(alice.wallet) == 1_501
    assert str(LedgerEntry.objects.get(kind="grant").actor) == "fay@example.com"


def test_an_approval_that_is_sent_again_does_nothing_more(
    asked: dict[str, Any], finn: Client, alice: desk.Buyer
) -> None:
    approve(finn)
    lines = AuditLine.objects.count()

    again = approve(finn)

    assert "It is approved already." in again
    assert posted(alice.wallet) == 1_501
    assert AuditLine.objects.count() == lines


@pytest.mark.parametrize("credits", ["501", "502", "500"])
def test_the_same_press_after_its_approval_grants_nothing_more(
    credits: str, asked: dict[str, Any], fay: Client, finn: Client, alice: desk.Buyer
) -> None:
    approve(finn)

    fay.post(desk.do_url("grant", alice.wallet), {**asked, "credits": credits})

    assert posted(alice.wallet) == 1_501
    assert Approval.objects.count() == 1


def test_a_wish_that_was_refused_is_not_revived_by_the_same_press(
    asked: dict[str, Any], fay: Client, finn: Client, alice: desk.Buyer
) -> None:
    finn.post(desk.do_url("refuse", Approval.objects.get()), WHY)

    fay.post(desk.do_url("grant", alice.wallet), asked)
    approve(finn)

    assert posted(alice.wallet) == 1_000


def test_a_press_for_one_wallet_is_none_for_another(
    asked: dict[str, Any], fay: Client, finn: Client, alice: desk.Buyer
) -> None:
    bob = desk.make_customer("bob@example.com")

    fay.post(desk.do_url("grant", bob.wallet), asked)
    approve(finn)

    assert (posted(alice.wallet), posted(bob.wallet)) == (1_501, 1_000)
    assert Approval.objects.count() == 2


def test_nobody_visits_a_member_of_another_team(fay: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")
    before = everything()

    answer = fay.post(
        desk.do_url("look", alice.wallet), {**WHY, "member": str(own_seat(bob.user).pk)}
    )

    assert "member" in answer.context["form"].errors
    assert everything() == before


def test_a_key_of_another_provider_is_not_changed_from_ones_page(root: Client) -> None:
    ours = Provider.objects.create(name="ours", base_url="https://api.example.com/v1")
    other = Provider.objects.create(name="other", base_url="https://elsewhere.example/v1")
    add_key(ours, "sk-ours-0123456789-WXYZ")
    theirs = add_key(other, "sk-other-0123456789-ABCD")
    before = ProviderKey.objects.values().get(pk=theirs.pk)

    root.post(
        desk.page_url(ours),
        {
            "name": "ours",
            "base_url": ours.base_url,
            "is_active": "on",
            "connect_timeout_s": "5",
            "first_byte_timeout_s": "60",
            "idle_timeout_s": "60",
            "total_timeout_s": "600",
            "probes_per_hour": "0",
            "keys-TOTAL_FORMS": "1",
            "keys-INITIAL_FORMS": "1",
            "keys-0-id": str(theirs.pk),
            "keys-0-provider": str(ours.pk),
            "keys-0-priority": "9",
            "keys-0-weight": "9",
            "routes-TOTAL_FORMS": "0",
            "routes-INITIAL_FORMS": "0",
            "account-TOTAL_FORMS": "0",
            "account-INITIAL_FORMS": "0",
        },
    )

    assert ProviderKey.objects.values().get(pk=theirs.pk) == before


def test_of_two_wishes_in_one_address_none_is_approved(
    asked: dict[str, Any], fay: Client, finn: Client, alice: desk.Buyer
) -> None:
    fay.post(desk.do_url("grant", alice.wallet), {**asked, "once": str(uuid4())})
    url = desk.do_url("approve", *Approval.objects.all())

    assert finn.post(url, WHY).status_code == 404
    assert posted(alice.wallet) == 1_000
