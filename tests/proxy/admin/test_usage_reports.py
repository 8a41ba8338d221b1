"""A provider's own report beside our receipts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.models import InboxItem, UsageRecord
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from proxy.models import Provider, Route
from proxy.upstreams.providers.usage_reports import Line, compare
from tests import desk

WHY = {"reason": "The end of the month"}
HEADER = "day,model,prompt_tokens,completion_tokens,cost"
DAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))


@pytest.fixture
def provider(db: None) -> Provider:
    """It calls gpt-test by its own name, acme: two requests on 2 March, 10 and 5 tokens each."""
    provider = desk.make_provider()
    buyer = desk.make_customer("alice@example.com")
    for number in range(2):
        record = desk.make_usage(buyer.wallet, buyer.key, request_id=f"asked-{number}")
        record.provider_name, record.cost_nanos = provider.name, 60_000
        record.started_at = record.ended_at = DAY
        record.save()
    note_booked(UsageRecord.objects.all(), [])
    roll_up()
    return provider


def figures(line: Line) -> tuple[tuple[int, int, Decimal | None], tuple[int, int, Decimal | None]]:
    theirs, ours = line.theirs, line.ours
    return (
        (theirs.prompt_tokens, theirs.completion_tokens, theirs.cost),
        (ours.prompt_tokens, ours.completion_tokens, ours.cost),
    )


def test_the_same_usage_differs_by_nothing(provider: Provider) -> None:
    [line] = compare(provider, f"{HEADER}\n2026-03-02,acme,20,10,0.00012\n")

    assert figures(line) == ((20, 10, Decimal("0.00012")), (20, 10, Decimal("0.00012")))
    assert line.difference_percent == 0
    assert not line.is_beyond


def test_lines_of_one_day_and_model_are_added_up(provider: Provider) -> None:
    text = f"{HEADER}\n2026-03-02,acme,15,4,0.00006\n2026-03-02,acme,5,6,0.00006"

    [line] = compare(provider, text)

    assert not line.is_beyond


@pytest.mark.parametrize(
    ("row", "percent"),
    [
        ("2026-03-02,acme,25,10,", 20),
        ("2026-03-02,acme,20,8,", 25),
        ("2026-03-02,acme,20,10,0.00016", 25),
        ("2026-03-02,acme,0,10,", 100),
    ],
)
def test_the_greatest_difference_of_a_line_counts(
    row: str, percent: int, provider: Provider
) -> None:
    [line] = compare(provider, f"{HEADER}\n{row}")

    assert line.difference_percent == percent
    assert line.is_beyond


def test_the_tolerance_is_a_setting(provider: Provider, settings: object) -> None:
    settings.USAGE_TOLERANCE_PERCENT = 20  # type: ignore[attr-defined]

    [line] = compare(provider, f"{HEADER}\n2026-03-02,acme,25,10,")

    assert not line.is_beyond


def test_what_only_one_of_both_knows_is_a_line_too(provider: Provider) -> None:
    lines = compare(provider, f"{HEADER}\n2026-03-02,unknown,1,1,")

    assert {line.model: int(line.difference_percent) for line in lines} == {
        "acme": 100,
        "unknown": 100,
    }


def test_models_that_can_not_be_told_apart_are_compared_together(provider: Provider) -> None:
    model = desk.make_model()
    Route.objects.create(model=model, provider=provider, upstream_model="acme-2")

    [line] = compare(provider, f"{HEADER}\n2026-03-02,acme,12,6,\n2026-03-02,acme-2,8,4,")

    assert line.model == "acme, acme-2"
    assert line.difference_percent == 0


def test_a_price_that_we_do_not_know_is_not_compared(provider: Provider) -> None:
    buyer = desk.make_customer("bob@example.com")
    record = desk.make_usage(buyer.wallet, buyer.key, request_id="unpriced")
    record.provider_name, record.started_at, record.ended_at = provider.name, DAY, DAY
    record.save()
    note_booked(UsageRecord.objects.filter(pk=record.pk), [])
    roll_up()

    [line] = compare(provider, f"{HEADER}\n2026-03-02,acme,30,15,7")

    assert (line.ours.cost, line.is_beyond) == (None, False)


def test_the_preview_files_nothing_and_the_deed_files_what_differs_once(
    root: Client, provider: Provider
) -> None:
    url = desk.do_url("compare-usage", provider)
    text = f"{HEADER}\n2026-03-02,acme,40,10,"

    previewed = root.post(url, {"text": text, "_preview": "1"})
    filed_before = InboxItem.objects.filter(kind="usage_differs").count()
    for _ in range(2):
        root.post(url, {"text": text, **WHY})

    [row] = previewed.context["preview"].rows
    assert row == ["2026-03-02 acme", "40 → 20", "10 → 10", "– → 0.0001", "50.0 %", "differs"]
    assert filed_before == 0
    item = InboxItem.objects.get(kind="usage_differs")
    assert (item.reference, item.detail["our_prompt_tokens"]) == ("acme@2026-03-02:acme", "20")
    assert root.get(desk.page_url(item)).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        "day,model\n2026-03-02,acme",
        f"{HEADER}\n2026-03-02,acme,1,1",
        f"{HEADER}\n2026-03-02,acme,1,1,1,1",
        f"{HEADER}\n03/02/2026,acme,1,1,",
        f"{HEADER}\n2026-03-02,acme,-1,1,",
        f"{HEADER}\n2026-03-02,acme,1.5,1,",
        f"{HEADER}\n2026-03-02,acme,1,{10**16},",
        f"{HEADER}\n2026-03-02,acme,1,1,NaN",
        f"{HEADER}\n2026-03-02,acme,1,1,-1",
        f"{HEADER}\n2026-03-02,acme,1,1,\n2020-01-01,acme,1,1,",
        f'{HEADER}\n2026-03-02,"acme,1,1,',
    ],
)
def test_a_report_that_can_not_be_read_files_nothing_and_says_why(
    text: str, root: Client, provider: Provider
) -> None:
    url = desk.do_url("compare-usage", provider)

    previewed = root.post(url, {"text": text, "_preview": "1"})
    root.post(url, {"text": text, **WHY})

    assert previewed.context["form"].errors
    assert not InboxItem.objects.filter(kind="usage_differs").exists()


def test_a_day_ends_at_midnight_utc(provider: Provider) -> None:
    UsageRecord.objects.update(ended_at=DAY)
    text = f"{HEADER}\n{(DAY + timedelta(1)).date()},acme,20,10,"

    lines = compare(provider, text)

    assert [(line.day.day, line.ours.prompt_tokens) for line in lines] == [(3, 0)]


def test_costs_are_for_those_who_see_margins(provider: Provider) -> None:
    staff = desk.make_staff("ops@example.com", "proxy.view_provider", "proxy.change_provider")

    answer = staff.post(
        desk.do_url("compare-usage", provider),
        {"text": f"{HEADER}\n{timezone.now():%Y-%m-%d},acme,1,1,", "_preview": "1"},
    )

    assert answer.status_code == 403
