"""How every action is started, and what its page refuses."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey, AuditLine
from billing.models import InboxItem, ModelPrice, StripeEvent, Wallet
from tests import desk

WHY = {"reason": "Asked for by mail"}


def start(browser: Client, action: str, *rows: Wallet) -> str:
    answer = browser.post(
        desk.list_url(Wallet), {"action": action, "_selected_action": [row.pk for row in rows]}
    )
    assert answer.status_code == 302
    return answer.headers["Location"]


def test_the_list_leads_to_the_confirmation(root: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")

    url = start(root, "freeze", alice.wallet, bob.wallet)
    page = root.get(url)

    assert [str(obj) for obj, *_ in page.context["objects"]] == [
        "Wallet of bob@example.com",
        "Wallet of alice@example.com",
    ]
    assert not Wallet.objects.filter(state="frozen").exists()


def test_several_come_back_to_the_list(root: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")

    answer = root.post(desk.do_url("freeze", alice.wallet, bob.wallet), WHY)

    assert answer.headers["Location"] == desk.list_url(Wallet)
    assert Wallet.objects.filter(state="frozen").count() == 2
    assert AuditLine.objects.count() == 2


def test_one_refusal_stops_none_of_the_others(root: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")
    root.post(desk.do_url("freeze", alice.wallet), WHY)

    answer = root.post(desk.do_url("freeze", alice.wallet, bob.wallet), WHY, follow=True)

    assert b"Wallet of alice@example.com: It is frozen already." in answer.content
    assert b"Wallet of bob@example.com: Frozen." in answer.content


@pytest.mark.parametrize("ids", ["", "x", "1,", "0", "999999999", "-1", "9" * 40, "1;2"])
def test_an_address_that_names_nothing_is_not_found(
    ids: str, root: Client, alice: desk.Buyer
) -> None:
    url = reverse("admin:billing_wallet_do", args=["freeze"]) + f"?ids={ids}"

    assert root.get(url).status_code == 404
    assert root.post(url, WHY).status_code == 404


def test_at_most_a_hundred_at_once(root: Client, alice: desk.Buyer) -> None:
    many = ",".join([str(alice.wallet.pk)] * 101)
    url = reverse("admin:billing_wallet_do", args=["freeze"]) + f"?ids={many}"

    assert root.post(url, WHY).status_code == 404


def test_there_are_no_other_actions(root: Client, alice: desk.Buyer) -> None:
    assert root.post(desk.do_url("explode", alice.wallet), WHY).status_code == 404


def test_an_action_needs_the_forms_own_token(alice: desk.Buyer) -> None:
    browser = Client(enforce_csrf_checks=True)
    desk.make_staff("carol@example.com", "billing.view_wallet", "billing.change_wallet")
    browser.force_login(desk.find_user("carol@example.com"))

    answer = browser.post(desk.do_url("freeze", alice.wallet), WHY)

    assert answer.status_code == 403
    assert not Wallet.objects.filter(state="frozen").exists()


def test_a_key_is_revoked_for_good(root: Client, alice: desk.Buyer) -> None:
    root.post(desk.do_url("revoke", alice.key), WHY)

    first = ApiKey.objects.get(pk=alice.key.pk).revoked_at
    assert first is not None
    root.post(desk.do_url("revoke", alice.key), WHY)
    assert ApiKey.objects.get(pk=alice.key.pk).revoked_at == first


def test_revoking_a_key_tells_the_wallet(root: Client, alice: desk.Buyer) -> None:
    before = Wallet.objects.get(pk=alice.wallet.pk).version

    root.post(desk.do_url("revoke", alice.key), WHY)

    assert Wallet.objects.get(pk=alice.wallet.pk).version == before + 1


def test_an_item_is_resolved_with_a_word(root: Client) -> None:
    item = desk.make_inbox_item()

    root.post(desk.do_url("resolve", item), {"reason": "Refunded the difference"})

    item.refresh_from_db()
    assert item.resolved_at is not None
    assert item.resolution == "Refunded the difference"
    assert item.resolved_by == desk.find_user("root@example.com")


def test_the_first_word_on_an_item_stays(root: Client) -> None:
    item = desk.make_inbox_item()

    root.post(desk.do_url("resolve", item), {"reason": "Refunded"})
    root.post(desk.do_url("resolve", item), {"reason": "Never mind"})

    assert InboxItem.objects.get(pk=item.pk).resolution == "Refunded"


def test_open_items_are_listed_first(root: Client) -> None:
    older, newer = desk.make_inbox_item("one"), desk.make_inbox_item("two")
    root.post(desk.do_url("resolve", newer), WHY)

    page = root.get(desk.list_url(InboxItem))

    assert list(page.context["cl"].result_list) == [older, newer]


def test_a_failed_event_becomes_due_again(root: Client) -> None:
    event = desk.make_event(error="Stripe was away", attempts=7)

    root.post(desk.do_url("process-again", event), WHY)

    event = StripeEvent.objects.get(pk=event.pk)
    assert (event.processed_at, event.attempts, event.error) == (None, 0, "")


RATES = {
    "prompt_rate_millicredits": "1500",
    "cached_prompt_rate_millicredits": "300",
    "completion_rate_millicredits": "4000",
}


def test_a_price_is_a_new_version(root: Client, db: None) -> None:
    model = desk.make_model()

    root.post(desk.do_url("set-price", model), {**RATES, **WHY})

    newest, oldest = ModelPrice.objects.filter(model=model)
    assert (newest.version, newest.prompt_rate_millicredits) == (2, 1_500)
    assert (oldest.version, oldest.prompt_rate_millicredits) == (1, 1_000)


def test_the_form_begins_with_the_price_in_force(root: Client, db: None) -> None:
    page = root.get(desk.do_url("set-price", desk.make_model()))

    assert page.context["form"]["completion_rate_millicredits"].value() == 2_000


def test_a_cached_token_costs_no_more_than_a_prompt_token(root: Client, db: None) -> None:
    model = desk.make_model()

    answer = root.post(
        desk.do_url("set-price", model),
        {**RATES, "cached_prompt_rate_millicredits": "1501", **WHY},
    )

    assert "cached_prompt_rate_millicredits" in answer.context["form"].errors
    assert ModelPrice.objects.count() == 1
