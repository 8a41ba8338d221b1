"""Deeds beyond one person's limits: a second person approves, and it is done once.

Fay and Finn are of finance, Sue of support. One deed may be worth 500 credits, one day 800. Alice
bought 1,000 credits for $9.00.
"""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.desk.roles import make_roles
from accounts.models import AuditLine, User
from billing.models import Approval, CodeBatch, Notice, Refund, Wallet
from tests import desk
from tests.racing import race

DEED, DAY = 500, 800
WHY = {"reason": "Sorry for Monday"}


@pytest.fixture
def limits(settings: Settings) -> None:
    settings.DESK_DEED_CREDITS, settings.DESK_DAY_CREDITS = DEED, DAY


def hire(name: str, role: str) -> Client:
    user, _ = User.objects.get_or_create(email=f"{name}@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return desk.log_in(user)


@pytest.fixture
def fay(db: None, limits: None) -> Client:
    make_roles()
    return hire("fay", "Finance")


@pytest.fixture
def finn(fay: Client) -> Client:
    return hire("finn", "Finance")


@pytest.fixture
def alice(db: None) -> desk.Buyer:
    return desk.make_customer("alice@example.com")


def grant(browser: Client, wallet: Wallet, credits: int, **fields: Any) -> Any:
    answers = {**WHY, "credits": credits, "once": str(uuid4()), **fields}
    return browser.post(desk.do_url("grant", wallet), answers, follow=True)


def posted(buyer: desk.Buyer) -> int:
    return Wallet.objects.get(pk=buyer.wallet.pk).posted_credits


def waiting() -> Approval:
    return Approval.objects.get()


def decide(browser: Client, deed: str, approval: Approval) -> Any:
    return browser.post(desk.do_url(deed, approval), {"reason": "Looked at"}, follow=True)


def test_up_to_the_limit_one_person_does_it(fay: Client, alice: desk.Buyer) -> None:
    grant(fay, alice.wallet, DEED)

    assert posted(alice) == 1_000 + DEED
    assert not Approval.objects.exists()


def test_beyond_it_nothing_is_done_and_others_get_a_mail(
    fay: Client, finn: Client, alice: desk.Buyer
) -> None:
    hire("sue", "Support")

    answer = grant(fay, alice.wallet, DEED + 1)

    assert posted(alice) == 1_000
    approval = waiting()
    assert (approval.worth_credits, approval.shown_state()) == (DEED + 1, "open")
    assert "A second person has been asked" in answer.content.decode()
    mails = Notice.objects.filter(kind="approval_asked")
    assert [mail.user.email for mail in mails if mail.user] == ["finn@example.com"]
    assert desk.last_record().deed == "Asked for: Grant credits"


def test_a_second_person_approves_and_it_is_the_askers_deed(
    fay: Client, finn: Client, alice: desk.Buyer
) -> None:
    grant(fay, alice.wallet, DEED + 1)

    decide(finn, "approve", waiting())

    entry = alice.wallet.entries.get(kind="grant")
    assert posted(alice) == 1_000 + DEED + 1
    assert (str(entry.actor), entry.reason) == ("fay@example.com", WHY["reason"])
    assert str(waiting().decided_by) == "finn@example.com"
    deeds = AuditLine.objects.order_by("pk").values_list("deed", "actor__email")
    assert list(deeds) == [
        ("Asked for: Grant credits", "fay@example.com"),
        ("Grant credits", "finn@example.com"),
        ("Approve", "finn@example.com"),
    ]


def test_the_asker_approves_nothing(fay: Client, finn: Client, alice: desk.Buyer) -> None:
    grant(fay, alice.wallet, DEED + 1)

    answer = decide(fay, "approve", waiting())
    decide(fay, "refuse", waiting())

    assert "Somebody else has to approve" in answer.content.decode()
    assert (posted(alice), waiting().shown_state()) == (1_000, "open")


def test_the_database_knows_no_approval_by_the_asker(fay: Client, alice: desk.Buyer) -> None:
    grant(fay, alice.wallet, DEED + 1)

    with pytest.raises(IntegrityError), transaction.atomic():
        Approval.objects.update(
            state="approved", decided_by=waiting().asked_by, decided_at=timezone.now()
        )


@pytest.mark.parametrize(("who", "deed"), [("finn", "refuse"), ("fay", "withdraw")])
def test_refused_or_withdrawn_leaves_nothing_changed(
    who: str, deed: str, fay: Client, finn: Client, alice: desk.Buyer
) -> None:
    grant(fay, alice.wallet, DEED + 1)

    decide({"fay": fay, "finn": finn}[who], deed, waiting())
    late = decide(finn, "approve", waiting())

    assert posted(alice) == 1_000
    assert waiting().outcome == "Looked at"
    assert "already." in late.content.decode()


def test_others_withdraw_nothing(fay: Client, finn: Client, alice: desk.Buyer) -> None:
    grant(fay, alice.wallet, DEED + 1)

    decide(finn, "withdraw", waiting())

    assert waiting().shown_state() == "open"


def test_it_expires(fay: Client, finn: Client, alice: desk.Buyer) -> None:
    grant(fay, alice.wallet, DEED + 1)
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    decide(finn, "approve", waiting())

    assert (posted(alice), waiting().shown_state()) == (1_000, "expired")
    assert b"Deeds that wait" in finn.get("/admin/").content
    assert finn.get("/admin/billing/approval/", {"waits": "open"}).context["cl"].result_count == 0


def test_support_decides_nothing(fay: Client, alice: desk.Buyer) -> None:
    sue = hire("sue", "Support")
    grant(fay, alice.wallet, DEED + 1)

    for deed in ("approve", "refuse", "withdraw"):
        assert sue.post(desk.do_url(deed, waiting()), WHY).status_code == 403

    assert waiting().shown_state() == "open"


def test_who_may_not_do_it_does_not_approve_it(fay: Client, alice: desk.Buyer) -> None:
    mo = desk.make_staff(
        "mo@example.com", "billing.view_approval", "billing.change_approval", "billing.view_wallet"
    )
    grant(fay, alice.wallet, DEED + 1)

    answer = decide(mo, "approve", waiting())

    assert "You may not do this yourself" in answer.content.decode()
    assert (posted(alice), waiting().shown_state()) == (1_000, "open")


def test_the_days_deeds_add_up(fay: Client, finn: Client, alice: desk.Buyer) -> None:
    grant(fay, alice.wallet, 500)
    grant(fay, alice.wallet, 300)
    grant(fay, alice.wallet, 1)

    assert posted(alice) == 1_000 + DAY
    decide(finn, "approve", waiting())
    # What was approved is in nobody's day, and yesterday's is over.
    grant(finn, alice.wallet, 500)
    assert posted(alice) == 1_000 + DAY + 1 + 500


def test_taking_away_counts_as_much(fay: Client, alice: desk.Buyer) -> None:
    answers = {**WHY, "amount_credits": -DEED - 1, "once": str(uuid4())}

    fay.post(desk.do_url("adjust", alice.wallet), answers)

    assert waiting().worth_credits == DEED + 1
    assert not alice.wallet.debits.filter(kind="adjustment").exists()


def test_a_refund_counts_as_the_credits_that_its_money_bought(
    fay: Client, finn: Client, alice: desk.Buyer
) -> None:
    order = desk.make_order(
        alice.user,
        stripe_session_id="cs_test_paid",
        stripe_payment_intent_id="pi_1",
        stripe_charge_id="ch_1",
        paid_cents=900,
    )
    answers = {**WHY, "amount": "4.51", "kind": "requested_by_customer", "once": str(uuid4())}

    fay.post(desk.do_url("refund", order), answers)

    # 451 cents of 900 bought 501.1 of 1,000 credits.
    assert waiting().worth_credits == 502
    assert not Refund.objects.exists()
    decide(finn, "approve", waiting())
    refund = Refund.objects.get()
    assert (refund.amount_cents, str(refund.actor)) == (451, "fay@example.com")


def test_a_press_asks_once(fay: Client, finn: Client, alice: desk.Buyer) -> None:
    once = str(uuid4())
    for _ in range(2):
        grant(fay, alice.wallet, DEED + 1, once=once)

    assert Approval.objects.count() == 1
    assert Notice.objects.filter(kind="approval_asked").count() == 1


def test_what_changed_meanwhile_is_looked_at_again(
    fay: Client, finn: Client, alice: desk.Buyer
) -> None:
    grant(fay, alice.wallet, DEED + 1)
    Approval.objects.update(answers={"credits": ["-5"], "reason": ["x"], "once": [str(uuid4())]})

    answer = decide(finn, "approve", waiting())

    assert "It can&#x27;t be done any more" in answer.content.decode()
    assert (posted(alice), waiting().shown_state()) == (1_000, "open")


def test_a_superuser_has_no_limit(limits: None, alice: desk.Buyer) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))

    grant(root, alice.wallet, 10 * DEED)

    assert posted(alice) == 1_000 + 10 * DEED


CODES = {"name": "Launch", "size": "2", "credits": "300", "is_one_each": "on"}


def test_codes_are_made_by_the_asker_once_they_were_approved(fay: Client, finn: Client) -> None:
    add, once = "/admin/billing/codebatch/add/", str(uuid4())

    fay.post(add, {**CODES, "once": once})
    assert not CodeBatch.objects.exists()
    decide(finn, "approve", waiting())
    page = fay.get(desk.page_url(waiting()))
    [tool] = [tool for tool in page.context["tools"] if tool.label == "Make the codes"]
    form = fay.get(tool.url).context["form"]
    more = fay.post(add, {**CODES, "size": "3", "once": once})
    made = fay.post(add, {**CODES, "once": str(form["once"].value())})
    again = fay.post(add, {**CODES, "once": once})

    assert more.status_code == again.status_code == 302
    assert made.content.decode().count("\n") == 1 + 2
    assert CodeBatch.objects.get().codes.count() == 2


@pytest.mark.parametrize("who", ["finn", "fay"])
def test_an_approval_of_codes_is_the_askers_alone(who: str, fay: Client, finn: Client) -> None:
    once = str(uuid4())
    fay.post("/admin/billing/codebatch/add/", {**CODES, "once": once})
    if who == "finn":
        decide(finn, "approve", waiting())

    browser = {"fay": fay, "finn": finn}[who]
    browser.post("/admin/billing/codebatch/add/", {**CODES, "once": once})

    assert not CodeBatch.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_who_approve_at_once_one_does_it(limits: None) -> None:
    make_roles()
    buyer = desk.make_customer("alice@example.com")
    fay, finn, fred = (hire(name, "Finance") for name in ("fay", "finn", "fred"))
    grant(fay, buyer.wallet, DEED + 1)
    approval = waiting()

    race([lambda: decide(finn, "approve", approval), lambda: decide(fred, "approve", approval)])

    assert posted(buyer) == 1_000 + DEED + 1
    assert buyer.wallet.entries.filter(kind="grant").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_deeds_at_once_pass_no_days_limit(limits: None) -> None:
    make_roles()
    buyer = desk.make_customer("alice@example.com")
    browsers = [hire("fay", "Finance") for _ in range(3)]

    race([lambda one=one: grant(one, buyer.wallet, DEED) for one in browsers])  # type: ignore[misc]

    # 500 and 500 are more than 800 a day.
    assert posted(buyer) == 1_000 + DEED
    assert Approval.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_refunds_at_once_return_no_more_than_was_paid() -> None:
    make_roles()
    buyer = desk.make_customer("alice@example.com")
    order = desk.make_order(
        buyer.user,
        stripe_session_id="cs_test_paid",
        stripe_payment_intent_id="pi_1",
        stripe_charge_id="ch_1",
        paid_cents=900,
    )
    browsers = [hire(name, "Finance") for name in ("fay", "finn")]

    def refund(browser: Client) -> None:
        answers = {**WHY, "amount": "6", "kind": "requested_by_customer", "once": str(uuid4())}
        browser.post(desk.do_url("refund", order), answers)

    race([lambda one=one: refund(one) for one in browsers])  # type: ignore[misc]

    assert Refund.objects.get().amount_cents == 600


@pytest.mark.django_db(transaction=True)
def test_two_adjustments_at_once_are_both_posted_and_a_doubled_one_once() -> None:
    make_roles()
    buyer = desk.make_customer("alice@example.com")
    browsers = [hire(name, "Finance") for name in ("fay", "finn", "fred")]
    presses = [str(uuid4()), str(uuid4())]

    def adjust(browser: Client, once: str) -> None:
        answers = {**WHY, "amount_credits": "7", "once": once}
        browser.post(desk.do_url("adjust", buyer.wallet), answers)

    race(
        [
            lambda: adjust(browsers[0], presses[0]),
            lambda: adjust(browsers[1], presses[1]),
            lambda: adjust(browsers[2], presses[1]),
        ]
    )

    assert posted(buyer) == 1_000 + 7 + 7
