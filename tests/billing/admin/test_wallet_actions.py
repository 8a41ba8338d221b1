"""Grant, adjust, freeze, unfreeze: what staff does to a wallet, and what it leaves behind."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.audit import Change, Said, read_said
from accounts.models import AuditLine, User
from billing.ledger.freezes import add_freeze, open_freezes
from billing.ledger.wallets import freeze_wallet
from billing.models import Debit, Dispute, LedgerEntry, Wallet
from tests import desk

ONCE = "6a1f0c1e-3b0e-4c37-9b8a-0d6a3f1d2c4b"
GRANT = {"credits": "500", "is_promotional": "on", "reason": "Sorry for Monday", "once": ONCE}
ADJUST = {"reason": "Counted twice", "once": ONCE}


def posted(wallet: Wallet) -> int:
    return Wallet.objects.get(pk=wallet.pk).posted_credits


def entries(wallet: Wallet, kind: str) -> list[LedgerEntry]:
    return list(wallet.entries.filter(kind=kind))


def test_looking_at_the_page_grants_nothing(root: Client, alice: desk.Buyer) -> None:
    page = root.get(desk.do_url("grant", alice.wallet))

    assert page.status_code == 200
    assert posted(alice.wallet) == 1_000


def test_a_grant_is_posted_with_who_and_why(root: Client, alice: desk.Buyer) -> None:
    answer = root.post(desk.do_url("grant", alice.wallet), GRANT)

    [entry] = entries(alice.wallet, "grant")
    assert answer.headers["Location"] == desk.page_url(alice.wallet)
    assert posted(alice.wallet) == 1_000 + 500
    assert (entry.amount_credits, entry.reason) == (500, "Sorry for Monday")
    assert entry.actor == User.objects.get(email="root@example.com")
    assert entry.lot.is_promotional


def test_a_grant_expires_after_its_days(root: Client, alice: desk.Buyer) -> None:
    root.post(desk.do_url("grant", alice.wallet), {**GRANT, "validity_days": "30"})

    [entry] = entries(alice.wallet, "grant")
    expires_at = entry.lot.expires_at
    assert expires_at is not None
    assert abs(expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)


def test_a_second_press_of_the_button_grants_nothing(root: Client, alice: desk.Buyer) -> None:
    root.post(desk.do_url("grant", alice.wallet), GRANT)
    root.post(desk.do_url("grant", alice.wallet), GRANT)

    assert posted(alice.wallet) == 1_000 + 500


def test_a_page_opened_anew_grants_again(root: Client, alice: desk.Buyer) -> None:
    url = desk.do_url("grant", alice.wallet)
    for _ in range(2):
        once = root.get(url).context["form"]["once"].value()
        root.post(url, {**GRANT, "once": str(once)})

    assert posted(alice.wallet) == 1_000 + 500 + 500


def test_a_grant_goes_to_every_chosen_wallet(root: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")

    root.post(desk.do_url("grant", alice.wallet, bob.wallet), GRANT)

    assert (posted(alice.wallet), posted(bob.wallet)) == (1_500, 1_500)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201])
@pytest.mark.parametrize("action", ["grant", "adjust", "freeze"])
def test_nothing_happens_without_a_reason(
    action: str, reason: str, root: Client, alice: desk.Buyer
) -> None:
    answer = root.post(
        desk.do_url(action, alice.wallet),
        {**GRANT, "amount_credits": "500", "reason": reason},
    )

    assert answer.status_code == 200
    assert "reason" in answer.context["form"].errors
    assert posted(alice.wallet) == 1_000
    assert Wallet.objects.get(pk=alice.wallet.pk).state == "active"
    assert not AuditLine.objects.exists()


@pytest.mark.parametrize("credits", ["0", "-5", "1.5", "ten", "1000000000001", ""])
def test_it_refuses_a_grant_of_a_wrong_amount(
    credits: str, root: Client, alice: desk.Buyer
) -> None:
    answer = root.post(desk.do_url("grant", alice.wallet), {**GRANT, "credits": credits})

    assert "credits" in answer.context["form"].errors
    assert posted(alice.wallet) == 1_000


def test_it_tells_what_the_ledger_refuses(root: Client, alice: desk.Buyer) -> None:
    answer = root.post(
        desk.do_url("grant", alice.wallet), {**GRANT, "credits": "1000000000000"}, follow=True
    )

    assert b"A wallet holds at most 1,000,000,000,000 credits." in answer.content
    assert posted(alice.wallet) == 1_000
    assert not AuditLine.objects.exists()


def test_an_adjustment_upwards_is_posted_at_once(root: Client, alice: desk.Buyer) -> None:
    root.post(desk.do_url("adjust", alice.wallet), {**ADJUST, "amount_credits": "70"})

    [entry] = entries(alice.wallet, "adjustment")
    assert (entry.amount_credits, entry.reason) == (70, "Counted twice")
    assert posted(alice.wallet) == 1_000 + 70


def test_an_adjustment_downwards_is_asked_of_redis(root: Client, alice: desk.Buyer) -> None:
    for _ in range(2):
        root.post(desk.do_url("adjust", alice.wallet), {**ADJUST, "amount_credits": "-70"})

    debit = Debit.objects.get(kind="adjustment")
    assert (debit.amount_credits, debit.reason) == (70, "Counted twice")
    assert debit.actor == User.objects.get(email="root@example.com")
    assert posted(alice.wallet) == 1_000


def test_an_adjustment_of_nothing_is_refused(root: Client, alice: desk.Buyer) -> None:
    answer = root.post(desk.do_url("adjust", alice.wallet), {**ADJUST, "amount_credits": "0"})

    assert "amount_credits" in answer.context["form"].errors


def test_a_wallet_is_frozen_and_unfrozen(root: Client, alice: desk.Buyer) -> None:
    root.post(desk.do_url("freeze", alice.wallet), {"reason": "Stolen card"})
    frozen = Wallet.objects.get(pk=alice.wallet.pk)
    [cause] = open_freezes(frozen)
    root.post(
        desk.do_url("unfreeze", alice.wallet), {"reason": "Card was hers", "causes": [cause.pk]}
    )
    thawed = Wallet.objects.get(pk=alice.wallet.pk)

    assert (frozen.state, frozen.frozen_reason) == ("frozen", "Stolen card")
    assert (thawed.state, thawed.frozen_reason) == ("active", "")


@pytest.fixture
def disputed(alice: desk.Buyer) -> desk.Buyer:
    """Alice, who is frozen by staff and for an open dispute."""
    Dispute.objects.create(
        order=alice.order, stripe_dispute_id="dp_1", amount_cents=900, status="needs_response"
    )
    with transaction.atomic():
        add_freeze(alice.wallet.pk, kind="dispute", reference="dp_1", reason="Dispute dp_1")
    freeze_wallet(alice.wallet, reason="Stolen card")
    return alice


def causes_of(buyer: desk.Buyer) -> dict[str, int]:
    return {freeze.kind: freeze.pk for freeze in open_freezes(buyer.wallet)}


def test_unfreezing_asks_which_causes_and_ticks_no_dispute(
    root: Client, disputed: desk.Buyer
) -> None:
    page = root.get(desk.do_url("unfreeze", disputed.wallet))

    boxes = {str(box): box for box in page.context["form"]["causes"]}
    ticked = {text for text in boxes if "checked" in text}
    [staff] = ticked
    [dispute] = set(boxes) - ticked
    assert "Staff since" in staff
    assert "Dispute since" in dispute
    assert "still open at the bank" in dispute


def test_a_cause_that_is_left_keeps_the_wallet_frozen(root: Client, disputed: desk.Buyer) -> None:
    causes = causes_of(disputed)

    answer = root.post(
        desk.do_url("unfreeze", disputed.wallet),
        {"reason": "Card was hers", "causes": [causes["staff"]]},
        follow=True,
    )

    wallet = Wallet.objects.get(pk=disputed.wallet.pk)
    assert (wallet.state, wallet.frozen_reason) == ("frozen", "Dispute dp_1")
    assert "It stays frozen" in answer.content.decode()


def test_a_dispute_is_lifted_by_its_tick(root: Client, disputed: desk.Buyer) -> None:
    root.post(
        desk.do_url("unfreeze", disputed.wallet),
        {"reason": "Settled by phone", "causes": list(causes_of(disputed).values())},
    )

    assert Wallet.objects.get(pk=disputed.wallet.pk).state == "active"


@pytest.mark.parametrize("causes", [[], ["0"], ["x"], ["999999999"]])
def test_nothing_is_lifted_without_a_cause_of_its_own(
    causes: list[str], root: Client, disputed: desk.Buyer
) -> None:
    bob = desk.make_customer("bob@example.com")
    freeze_wallet(bob.wallet, reason="Spam")
    foreign = [str(causes_of(bob)["staff"])] if causes == ["0"] else causes

    answer = root.post(
        desk.do_url("unfreeze", disputed.wallet), {"reason": "Sure", "causes": foreign}
    )

    assert "causes" in answer.context["form"].errors
    assert len(causes_of(disputed)) == 2
    assert len(causes_of(bob)) == 1


def test_a_frozen_wallet_is_not_frozen_again(root: Client, alice: desk.Buyer) -> None:
    root.post(desk.do_url("freeze", alice.wallet), {"reason": "Stolen card"})
    root.post(desk.do_url("freeze", alice.wallet), {"reason": "Something else"})

    assert Wallet.objects.get(pk=alice.wallet.pk).frozen_reason == "Stolen card"
    assert AuditLine.objects.count() == 1


def test_each_deed_is_recorded_with_its_reason(root: Client, alice: desk.Buyer) -> None:
    root.post(desk.do_url("grant", alice.wallet), GRANT)

    [record] = AuditLine.objects.all()
    assert str(record.actor) == "root@example.com"
    assert record.object_id == str(alice.wallet.pk)
    assert read_said(record) == Said(
        name="Wallet of alice@example.com",
        words="Granted 500 credits.",
        reason="Sorry for Monday",
        changes=[
            Change("posted credits", "1,000", "1,500"),
            Change("credited credits", "1,000", "1,500"),
        ],
    )


def test_the_page_offers_what_can_be_done(root: Client, alice: desk.Buyer) -> None:
    active = root.get(desk.page_url(alice.wallet)).content.decode()
    root.post(desk.do_url("freeze", alice.wallet), {"reason": "Stolen card"})
    frozen = root.get(desk.page_url(alice.wallet)).content.decode()

    assert "do/freeze/" in active
    assert "do/unfreeze/" not in active
    assert "do/unfreeze/" in frozen
    assert "do/freeze/" not in frozen


@pytest.mark.parametrize("action", ["grant", "adjust", "freeze", "unfreeze"])
def test_looking_is_not_enough_to_act(action: str, alice: desk.Buyer) -> None:
    carol = desk.make_staff("carol@example.com", "billing.view_wallet")
    url = desk.do_url(action, alice.wallet)
    page = carol.get(desk.page_url(alice.wallet))
    listed = carol.get(desk.list_url(Wallet))

    assert carol.get(url).status_code == 403
    assert carol.post(url, {**GRANT, "amount_credits": "5"}).status_code == 403
    assert posted(alice.wallet) == 1_000
    assert f"do/{action}/" not in page.content.decode()
    assert f'value="{action}"' not in listed.content.decode()


def test_the_right_to_act_alone_is_not_enough(alice: desk.Buyer) -> None:
    dave = desk.make_staff("dave@example.com", "billing.add_ledgerentry")

    answer = dave.post(desk.do_url("grant", alice.wallet), GRANT)

    assert answer.status_code == 403
    assert posted(alice.wallet) == 1_000
