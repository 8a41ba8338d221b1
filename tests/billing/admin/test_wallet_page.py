""" "Where did my credits go?", answered on one page."""

from django.test import Client

from tests import desk


def test_it_shows_what_was_spent_on_what(root: Client, alice: desk.Buyer) -> None:
    alice.record.ended_at = desk.just_now()
    alice.record.save()

    [row] = root.get(desk.page_url(alice.wallet)).context["spending"]

    assert (row["model_name"], row["key_name"], row["requests"]) == ("gpt-test", "Laptop", 1)
    assert (row["prompt"], row["completion"], row["charged"]) == (10, 5, 20)


def test_its_sums_add_up_to_what_is_posted(root: Client, alice: desk.Buyer) -> None:
    root.post(
        desk.do_url("adjust", alice.wallet),
        {
            "amount_credits": "70",
            "reason": "Counted twice",
            "once": "6a1f0c1e-3b0e-4c37-9b8a-0d6a3f1d2c4b",
        },
    )

    page = root.get(desk.page_url(alice.wallet))

    sums = {row["kind"]: row["amount_credits"] for row in page.context["totals"]}
    assert sums == {"purchase": 1_000, "adjustment": 70}
    assert page.context["balance"].posted_credits == 1_000 + 70


def test_it_lists_lots_in_the_order_of_use(root: Client, alice: desk.Buyer) -> None:
    for days, once in (("90", 1), ("30", 2)):
        root.post(
            desk.do_url("grant", alice.wallet),
            {
                "credits": "10",
                "validity_days": days,
                "is_promotional": "on",
                "reason": "Trial",
                "once": f"6a1f0c1e-3b0e-4c37-9b8a-0d6a3f1d2c4{once}",
            },
        )

    lots = root.get(desk.page_url(alice.wallet)).context["lots"]

    assert [lot.granted_credits for lot in lots] == [10, 10, 1_000]
    assert lots[0].expires_at < lots[1].expires_at


def test_another_wallets_rows_are_not_on_it(root: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")

    page = root.get(desk.page_url(alice.wallet))

    assert alice.record.request_id in page.content.decode()
    assert bob.record.request_id not in page.content.decode()


def test_it_shows_no_more_than_one_may_see(alice: desk.Buyer) -> None:
    carol = desk.make_staff("carol@example.com", "billing.view_wallet")

    page = carol.get(desk.page_url(alice.wallet))

    hidden = ("totals", "entries", "lots", "spending", "records")
    assert [page.context[name] for name in hidden] == [None] * 5
    assert alice.record.request_id not in page.content.decode()
