"""Promotions at the desk: made hidden, looked at, shown, and not changed once orders have them."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import Pack, Promotion, UsageRecord
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from tests import desk
from tests.promotions import make_promotion

WHY = {"reason": "Autumn is here"}
PREVIEW = {"_preview": "Preview"}


@pytest.fixture
def pack(db: None) -> Pack:
    """1,000,000 credits for $9.00."""
    return Pack.objects.create(name="Small", slug="small", credits=1_000_000, price_cents=900)


@pytest.fixture
def promotion(pack: Pack) -> Promotion:
    """A fifth more, in an hour that runs, not shown yet."""
    return make_promotion(is_shown=False, title_de="Ein Fünftel mehr")


def form_of(promotion: Promotion, **changed: Any) -> dict[str, Any]:
    """Return the form of its page as a browser sends it."""
    values = {
        "name": promotion.name,
        "title": promotion.title,
        "title_de": promotion.title_de,
        "text": promotion.text,
        "text_de": promotion.text_de,
        "bonus_percent": promotion.bonus_percent,
        **of_instant("starts_at", promotion.starts_at),
        **of_instant("ends_at", promotion.ends_at),
    }
    return values | changed


def of_instant(name: str, at: Any) -> dict[str, str]:
    return {f"{name}_0": f"{at:%Y-%m-%d}", f"{name}_1": f"{at:%H:%M:%S}"}


def sold_with(promotion: Promotion, buyer: desk.Buyer) -> None:
    order = buyer.order
    order.credits, order.bonus_credits, order.promotion = 120, 20, promotion
    order.save()


def test_a_new_one_is_hidden_until_it_was_looked_at(root: Client, pack: Pack) -> None:
    soon = make_promotion(starts_at=timezone.now(), ends_at=timezone.now() + timedelta(days=2))
    form = form_of(soon, packs=[pack.pk])
    soon.delete()

    answer = root.post("/admin/billing/promotion/add/", form)

    made = Promotion.objects.get()
    assert answer.status_code == 302
    assert (made.is_shown, list(made.packs.all())) == (False, [pack])
    assert desk.last_record().deed == "Added"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bonus_percent": "101"}, "less than or equal to 100"),
        ({"bonus_percent": "-1"}, "greater than or equal to 0"),
        ({"ends_at_0": "2020-01-01"}, "It would be over already."),
        ({"starts_at_0": "2999-01-01"}, "end before it starts."),
        ({"text_de": "Mehr"}, "A German text has a German title above it."),
        ({"packs": ["0"]}, "Select a valid choice"),
    ],
)
def test_what_makes_no_sense_is_refused(
    root: Client, promotion: Promotion, changed: dict[str, Any], told: str
) -> None:
    form = form_of(promotion, title_de="", **changed)
    promotion.delete()

    answer = root.post("/admin/billing/promotion/add/", form)

    assert told in answer.content.decode().replace("&#x27;", "'")
    assert not Promotion.objects.exists()


def test_it_is_shown_only_after_its_preview(root: Client, promotion: Promotion) -> None:
    url = desk.do_url("show", promotion)

    unseen = root.post(url, WHY)
    seal = root.post(url, PREVIEW).context["seal"]
    # The pack costs something else by now.
    Pack.objects.update(price_cents=800)
    outdated = root.post(url, {**WHY, "_seal": seal})
    assert not Promotion.objects.get().is_shown
    root.post(url, {**WHY, "_seal": outdated.context["seal"]})

    assert "look at what would change" in unseen.content.decode()
    assert "look at it once more" in outdated.content.decode()
    assert Promotion.objects.get().is_shown
    assert desk.last_record().deed == "Show"
    assert WHY["reason"] in desk.said()


def test_the_preview_tells_words_credits_price_and_margin(
    root: Client, promotion: Promotion
) -> None:
    buyer = desk.make_customer("alice@example.com")
    # 20 credits for which we paid $0.00006: $3 for a million.
    record = desk.make_usage(buyer.wallet, buyer.key, request_id="asked-once")
    record.cost_nanos, record.started_at = 60_000, timezone.now()
    record.ended_at = record.started_at
    record.save()
    note_booked(UsageRecord.objects.all(), [])
    roll_up()

    preview = root.post(desk.do_url("show", promotion), PREVIEW).context["preview"]

    # Of $9.00, $3.00 and $3.60 are what the credits cost.
    assert list(preview.rows) == [
        (
            "Small",
            "$9.00",
            "1,000,000 → 1,200,000",
            "$9.00 → $7.50",
            "66.7 % → 60.0 %",
        )
    ]
    assert "English: A fifth more in autumn. " in preview.notes
    assert "German: Ein Fünftel mehr. " in preview.notes


def test_its_terms_change_while_it_is_hidden_and_no_order_has_it(
    root: Client, promotion: Promotion
) -> None:
    buyer = desk.make_customer("alice@example.com")
    url = desk.page_url(promotion)

    def change(percent: int) -> int:
        root.post(url, form_of(promotion, bonus_percent=percent))
        return Promotion.objects.get().bonus_percent

    assert change(30) == 30
    Promotion.objects.update(is_shown=True)
    assert change(40) == 30
    Promotion.objects.update(is_shown=False)
    sold_with(promotion, buyer)
    assert change(50) == 30


def test_its_words_change_and_its_end_is_put_off_while_it_runs_but_not_brought_forward(
    root: Client, promotion: Promotion
) -> None:
    Promotion.objects.update(is_shown=True)
    url, end = desk.page_url(promotion), promotion.ends_at.replace(microsecond=0)
    later, earlier = end + timedelta(hours=1), end - timedelta(minutes=5)

    root.post(url, form_of(promotion, title="More", **of_instant("ends_at", later)))
    answer = root.post(url, form_of(promotion, title="More", **of_instant("ends_at", earlier)))

    promotion.refresh_from_db()
    assert (promotion.title, promotion.ends_at) == ("More", later)
    assert "To end it now, use its button." in answer.content.decode()


def test_it_is_hidden_and_ended_with_a_reason(root: Client, promotion: Promotion) -> None:
    Promotion.objects.update(is_shown=True)

    root.post(desk.do_url("end", promotion), WHY)
    promotion.refresh_from_db()
    root.post(desk.do_url("end", promotion), WHY)
    root.post(desk.do_url("hide", promotion), WHY)

    assert promotion.ends_at <= timezone.now()
    assert not Promotion.objects.get().is_shown
    assert desk.last_record().deed == "Hide"


def test_one_that_an_order_has_is_not_deleted_nor_a_pack_that_is_named(
    root: Client, promotion: Promotion, pack: Pack
) -> None:
    promotion.packs.add(pack)
    sold_with(promotion, desk.make_customer("alice@example.com"))

    for row in (promotion, pack):
        answer = root.post(desk.page_url(row, "delete"), {"post": "yes"})
        assert answer.status_code == 403

    assert (Promotion.objects.count(), Pack.objects.filter(pk=pack.pk).count()) == (1, 1)


@pytest.mark.parametrize("state", ["hidden", "planned", "running", "over"])
def test_the_list_is_filtered_by_what_it_says(root: Client, pack: Pack, state: str) -> None:
    now, hour = timezone.now(), timedelta(hours=1)
    made = {
        "hidden": make_promotion(is_shown=False),
        "planned": make_promotion(starts_at=now + hour, ends_at=now + 2 * hour),
        "running": make_promotion(),
        "over": make_promotion(starts_at=now - 2 * hour, ends_at=now - hour),
    }

    page = root.get(f"/admin/billing/promotion/?stands={state}")

    [found] = page.context["cl"].result_list
    assert found == made[state]
    assert f">{state}</span>" in page.content.decode()


def test_what_staff_write_is_text_on_its_page(root: Client, promotion: Promotion) -> None:
    hit = "<script>hit()</script>"
    Promotion.objects.update(name=hit, title=hit, text=hit, title_de=hit, text_de=hit)

    for url in (desk.page_url(promotion), desk.list_url(Promotion)):
        assert "<script>hit()" not in root.get(url).content.decode()


def test_others_than_superusers_only_look(promotion: Promotion) -> None:
    staff = desk.make_staff("sam@example.com", "billing.view_promotion", "billing.view_margin")

    assert staff.get(desk.page_url(promotion)).status_code == 200
    assert staff.post(desk.page_url(promotion), form_of(promotion)).status_code == 403
    assert staff.post(desk.do_url("show", promotion), PREVIEW).status_code == 403
