"""The desk's first page, its order and its log-in."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.models import Wallet
from tests import desk
from tokenproxy_site.desk import GROUPS

INDEX = reverse("admin:index")


def matters(browser: Client) -> dict[str, int]:
    """Return what the first page counts."""
    return {matter["label"]: matter["count"] for matter in browser.get(INDEX).context["matters"]}


def test_the_first_page_counts_what_waits(root: Client, alice: desk.Buyer) -> None:
    desk.make_inbox_item("one")
    desk.make_inbox_item("two")
    root.post(desk.do_url("resolve", desk.make_inbox_item("three")), {"reason": "Done"})
    bob = desk.make_customer("bob@example.com")
    desk.make_order(bob.user, status="review", fulfilled_at=None, stripe_session_id="cs_test_r")
    desk.make_event("evt_new")
    desk.make_event("evt_failing", error="Stripe was away")
    desk.make_event("evt_done", processed_at=timezone.now())
    Wallet.objects.filter(pk=alice.wallet.pk).update(state="frozen", frozen_reason="Why")
    Wallet.objects.filter(pk=bob.wallet.pk).update(debt_credits=5)

    assert matters(root) == {
        "Open inbox items": 2,
        "Deeds that wait for a second person": 0,
        "Orders in review": 1,
        "Stripe events failing": 1,
        "Stripe events not processed": 2,
        "Mails failing": 0,
        "Providers paused": 0,
        "Wallets frozen": 1,
        "Wallets in debt": 1,
    }


def test_each_number_leads_to_its_rows(root: Client, alice: desk.Buyer) -> None:
    desk.make_inbox_item()
    desk.make_order(alice.user, status="review", fulfilled_at=None, stripe_session_id="cs_test_r")
    desk.make_event(error="Stripe was away")
    Wallet.objects.filter(pk=alice.wallet.pk).update(
        state="frozen", frozen_reason="Why", debt_credits=5
    )
    desk.make_customer("bob@example.com")

    desk.make_inbox_item("order-2")
    for matter in root.get(INDEX).context["matters"]:
        page = root.get(matter["url"])
        if matter["count"] == 1:
            # The one that waits is where its number leads.
            assert page.context["original"], matter["label"]
        else:
            listed = page.context["cl"].result_count
            assert (matter["label"], listed) == (matter["label"], matter["count"])


def test_it_counts_only_what_one_may_see(alice: desk.Buyer) -> None:
    carol = desk.make_staff("carol@example.com", "billing.view_wallet")

    assert set(matters(carol)) == {"Wallets frozen", "Wallets in debt"}


def test_staff_without_a_permission_gets_an_empty_desk(alice: desk.Buyer) -> None:
    carol = desk.make_staff("carol@example.com")

    page = carol.get(INDEX)

    assert page.context["app_list"] == []
    assert page.context["matters"] == []


def test_every_page_has_its_place(root: Client) -> None:
    named = [name for names in GROUPS.values() for name in names]

    assert sorted(named) == sorted(model.__name__ for model in admin.site._registry)


def test_the_groups_come_in_the_order_of_the_work(root: Client) -> None:
    groups = root.get(INDEX).context["app_list"]

    assert [group["name"] for group in groups] == list(GROUPS)
    assert [page["object_name"] for page in groups[0]["models"]] == list(GROUPS["Customers"])


def test_a_stranger_logs_in_on_the_sites_own_page(client: Client, db: None) -> None:
    answer = client.get(desk.list_url(Wallet), follow=True)

    assert answer.redirect_chain[-1][0].startswith(reverse("account_login"))
    assert answer.status_code == 200


@pytest.mark.parametrize("url", [INDEX, desk.list_url(Wallet)])
def test_its_pages_name_the_site(url: str, root: Client) -> None:
    assert b"TokenProxy desk" in root.get(url).content
