"""Two of the staff at one object at one instant: one does it, the other is told and does nothing.

Both have opened the page before either sends it. Each then presses the button.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import Model
from django.test import Client

from accounts.models import AuditLine, User
from billing.models import Approval, LedgerEntry, ModelPrice, Pack, Refund, Wallet
from tests import desk
from tests.racing import race

WHY = {"reason": "Asked for by mail"}
TOLD = "after you opened this page. Nothing was done: look again."
RATES = {
    "prompt_rate_millicredits": "1500",
    "cached_prompt_rate_millicredits": "300",
    "completion_rate_millicredits": "4000",
}
PACK = {
    "name": "Small",
    "slug": "small",
    "credits": "1000",
    "currency": "usd",
    "order": "0",
    "other_prices-TOTAL_FORMS": "0",
    "other_prices-INITIAL_FORMS": "0",
}


def staff() -> list[Client]:
    return [desk.log_in(User.objects.create_superuser(f"root{n}@example.com")) for n in (1, 2)]


def open_page(browser: Client, url: str) -> dict[str, str]:
    """Look at a page; return the hidden fields that it sends along."""
    return dict(browser.get(url).context["seen"])


def both(url: str, forms: list[dict[str, Any]]) -> list[str]:
    """Let two open a page, and then both send it at once. Returns what each is shown."""
    browsers = staff()
    seen = [open_page(browser, url) for browser in browsers]

    def send(browser: Client, form: dict[str, Any], known: dict[str, str]) -> str:
        return str(browser.post(url, {**form, **known}, follow=True).content.decode())

    return race(
        [partial(send, *each) for each in zip(browsers, forms, seen, strict=True)],
        meet_at="pg_advisory_xact_lock",
    )


def grant() -> dict[str, Any]:
    return {**WHY, "credits": "500", "once": str(uuid4())}


def adjust() -> dict[str, Any]:
    return {**WHY, "amount_credits": "500", "once": str(uuid4())}


def refund(amount: str) -> dict[str, Any]:
    kind = {"kind": "requested_by_customer"}
    return {**WHY, **kind, "amount": amount, "once": str(uuid4())}


def paid(buyer: desk.Buyer) -> Model:
    return desk.make_order(
        buyer.user,
        stripe_session_id="cs_test_paid",
        stripe_payment_intent_id="pi_1",
        stripe_charge_id="ch_1",
        paid_cents=900,
    )


# The deed, its object, what each of the two sends, and how many rows come of one.
Case = tuple[str, Callable[[desk.Buyer], Model], list[dict[str, Any]], Callable[[], int]]
CASES: dict[str, Case] = {
    "a grant": (
        "grant",
        lambda buyer: buyer.wallet,
        [grant(), grant()],
        lambda: LedgerEntry.objects.filter(kind="grant").count(),
    ),
    "an adjustment": (
        "adjust",
        lambda buyer: buyer.wallet,
        [adjust(), adjust()],
        lambda: LedgerEntry.objects.filter(kind="adjustment").count(),
    ),
    "a grant beside an adjustment's other press": (
        "adjust",
        lambda buyer: buyer.wallet,
        [adjust(), {**adjust(), "amount_credits": "7"}],
        lambda: LedgerEntry.objects.filter(kind="adjustment").count(),
    ),
    "a refund": ("refund", paid, [refund("4"), refund("5")], Refund.objects.count),
    "a price": (
        "set-price",
        lambda buyer: desk.make_model(),
        [{**WHY, **RATES}, {**WHY, **RATES, "prompt_rate_millicredits": "1600"}],
        lambda: ModelPrice.objects.filter(version__gt=1).count(),
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", CASES)
def test_of_two_deeds_at_once_one_is_done_and_the_other_is_told(name: str) -> None:
    action, find, forms, count = CASES[name]
    obj = find(desk.make_customer("alice@example.com"))

    shown = both(desk.do_url(action, obj), forms)

    assert count() == 1
    assert [TOLD in page for page in shown].count(True) == 1
    assert AuditLine.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_change_a_packs_price_at_once_one_does_and_the_other_keeps_the_form() -> None:
    desk.make_customer("alice@example.com")
    pack = Pack.objects.get(slug="small")

    shown = both(
        desk.page_url(pack), [{**PACK, "price_cents": "1000"}, {**PACK, "price_cents": "1100"}]
    )

    pack.refresh_from_db()
    [loser] = [page for page in shown if TOLD in page]
    lost = {1_000: "1100", 1_100: "1000"}[pack.price_cents]
    assert f'value="{lost}"' in loser
    assert AuditLine.objects.count() == 1


def test_what_one_saw_one_may_act_on(root: Client, alice: desk.Buyer) -> None:
    other = desk.log_in(User.objects.create_superuser("other@example.com"))
    url = desk.do_url("grant", alice.wallet)
    other.post(url, grant())

    root.post(url, {**grant(), **open_page(root, url)})
    root.post(url, {**grant(), **open_page(root, url)})

    assert Wallet.objects.get(pk=alice.wallet.pk).posted_credits == 2_500


@pytest.mark.parametrize(
    ("deed", "form"),
    [("note", {"text": "Called", **WHY}), ("freeze", WHY), ("adjust", adjust())],
)
def test_a_note_of_a_colleagues_stops_nobody_and_any_other_deed_does(
    deed: str, form: dict[str, Any], root: Client, alice: desk.Buyer
) -> None:
    other = desk.log_in(User.objects.create_superuser("other@example.com"))
    url = desk.do_url("grant", alice.wallet)
    seen = open_page(root, url)
    other.post(desk.do_url(deed, alice.wallet), form)

    answer = root.post(url, {**grant(), **seen}, follow=True)

    assert (TOLD in answer.content.decode()) == (deed != "note")
    granted = LedgerEntry.objects.filter(kind="grant").exists()
    assert granted == (deed == "note")


@pytest.mark.parametrize("typed", ["x", "-1", "9" * 40, "1.5", " ", "\0"])
def test_a_page_that_says_nonsense_of_what_was_seen_counts_as_never_looked(
    typed: str, root: Client, alice: desk.Buyer
) -> None:
    other = desk.log_in(User.objects.create_superuser("other@example.com"))
    url = desk.do_url("grant", alice.wallet)
    [name] = open_page(root, url)
    other.post(url, grant())

    answer = root.post(url, {**grant(), name: typed}, follow=True)

    assert TOLD in answer.content.decode() or answer.status_code == 400
    assert LedgerEntry.objects.filter(kind="grant").count() == 1


def test_who_forgot_the_reason_still_learns_of_a_colleague(root: Client, alice: desk.Buyer) -> None:
    other = desk.log_in(User.objects.create_superuser("other@example.com"))
    url = desk.do_url("grant", alice.wallet)
    seen = open_page(root, url)
    other.post(url, grant())

    again = root.post(url, {**grant(), "reason": "", **seen})
    answer = root.post(url, {**grant(), **dict(again.context["seen"])}, follow=True)

    assert TOLD in answer.content.decode()


def test_what_was_seen_is_no_part_of_what_is_asked_for(alice: desk.Buyer, settings: Any) -> None:
    settings.DESK_DEED_CREDITS = 1
    carol = desk.make_staff("carol@example.com", "billing.view_wallet", "billing.add_ledgerentry")
    url = desk.do_url("grant", alice.wallet)

    carol.post(url, {**grant(), **open_page(carol, url)})

    assert Approval.objects.get().answers.keys() == {"credits", "reason", "once"}


@pytest.fixture
def alice(db: None) -> desk.Buyer:
    return desk.make_customer("alice@example.com")
