"""Price lists of providers at the desk: what would change, the change, and what changes nothing."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.models import UsageRecord
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from proxy.models import Provider, Route
from tests import desk

WHY = {"reason": "The list of today"}
OPENROUTER = json.dumps(
    {
        "data": [
            {"id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}},
            {
                "id": "test-1",
                "pricing": {
                    "prompt": "0.0000025",
                    "completion": "0.00001",
                    "input_cache_read": "0.00000125",
                },
            },
        ]
    }
)
LITELLM = """{
    "sample_spec": {"input_cost_per_token": "how much", "output_cost_per_token": "how much"},
    "painter": {"input_cost_per_image": 0.04},
    "test-1": {
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1.25e-06
    }
}"""
CSV = "model,prompt,cached_prompt,completion\r\ntest-1,2.5,1.25,10\r\nother,x,y,z\r\n"
HEADER = "model,prompt,cached_prompt,completion"
# 2.5, 1.25 and 10 dollars per million tokens.
NEW = (2_500_000, 1_250_000, 10_000_000)
OLD = (2_000_000, None, 8_000_000)


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))


@pytest.fixture
def provider(db: None) -> Provider:
    """Two routes: one at 2 and 8 dollars, one without a price."""
    provider = desk.make_provider()
    provider.routes.all().delete()
    for name, costs in (("test-1", OLD), ("test-2", (None, None, None))):
        Route.objects.create(
            provider=provider,
            model=desk.make_model(),
            upstream_model=name,
            prompt_cost_micros=costs[0],
            cached_prompt_cost_micros=costs[1],
            completion_cost_micros=costs[2],
        )
    return provider


def costs_of(name: str) -> tuple[int | None, int | None, int | None]:
    route = Route.objects.get(upstream_model=name)
    return (
        route.prompt_cost_micros,
        route.cached_prompt_cost_micros,
        route.completion_cost_micros,
    )


@pytest.mark.parametrize("text", [OPENROUTER, LITELLM, CSV], ids=["openrouter", "litellm", "csv"])
def test_a_list_sets_the_prices_of_the_routes_that_it_has(
    text: str, root: Client, provider: Provider
) -> None:
    file = SimpleUploadedFile("list", text.encode())

    root.post(desk.do_url("import-prices", provider), {"list_file": file, **WHY})

    assert (costs_of("test-1"), costs_of("test-2")) == (NEW, (None, None, None))
    assert "test-1 2/–/8 → 2.5/1.25/10" in desk.said()


def test_the_preview_of_a_file_changes_nothing_and_keeps_its_text_for_the_import(
    root: Client, provider: Provider
) -> None:
    alice = desk.make_customer("alice@example.com")
    record = desk.make_usage(alice.wallet, alice.key, request_id="asked-once")
    record.provider_name, record.income_micros = provider.name, {"usd": 180}
    record.started_at = record.ended_at = timezone.now()
    record.save()
    note_booked(UsageRecord.objects.all(), [])
    roll_up()
    url = desk.do_url("import-prices", provider)

    answer = root.post(url, {"list_file": SimpleUploadedFile("a", CSV.encode()), "_preview": "1"})

    [row] = answer.context["preview"].rows
    # 10 prompt and 5 completion tokens cost 60 and then 75 millionths, and brought in 180.
    assert row == [
        "gpt-test → test-1",
        "2 → 2.5",
        "– → 1.25",
        "8 → 10",
        "66.7 % → 58.3 %",
    ]
    assert "Not in the list: test-2." in answer.context["preview"].notes
    assert costs_of("test-1") == OLD
    assert answer.context["form"]["text"].value() == CSV
    root.post(url, {"text": answer.context["form"]["text"].value(), **WHY})
    assert costs_of("test-1") == NEW


def test_names_may_have_a_prefix_in_the_list(root: Client, provider: Provider) -> None:
    text = f"{HEADER}\nazure/test-1,2.5,1.25,10"

    root.post(
        desk.do_url("import-prices", provider), {"text": text, "name_prefix": "azure/", **WHY}
    )

    assert costs_of("test-1") == NEW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[1]",
        "{}",
        '{"data": 7}',
        '{"test-1": 7}',
        '{"data": [{"id": "test-1", "pricing": {"prompt": "1"}}]}',
        '{"data": [{"id": "test-1", "pricing": {"prompt": "-1", "completion": "1"}}]}',
        '{"data": [{"id": "test-1", "pricing": {"prompt": true, "completion": 1}}]}',
        '{"test-1": {"input_cost_per_token": NaN, "output_cost_per_token": 1}}',
        '{"test-1": {"input_cost_per_token": 1e99, "output_cost_per_token": 1}}',
        '{"test-1": {}, "test-1": {}}',
        "[" * 50_000,
        f"{HEADER}\nother,1,1,1",
        f"{HEADER}\ntest-1,1,1",
        f"{HEADER}\ntest-1,1,1,1,1",
        f"{HEADER}\ntest-1,1,1,much",
        f"{HEADER}\ntest-1,1,1,Infinity",
        f"{HEADER}\ntest-1,1,1,1\ntest-1,2,2,2",
        f"{HEADER}\ntest-1,2,1,3\ntest-2,2,1,",
        "model;prompt\ntest-1;1",
    ],
)
def test_a_bad_list_changes_nothing_and_says_so(
    text: str, root: Client, provider: Provider
) -> None:
    url = desk.do_url("import-prices", provider)

    previewed = root.post(url, {"text": text, "_preview": "1"})
    root.post(url, {"text": text, **WHY})

    assert previewed.context["preview"] is None
    assert previewed.context["form"].errors
    assert (costs_of("test-1"), costs_of("test-2")) == (OLD, (None, None, None))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * 400_001])
def test_a_file_that_is_no_text_or_too_large_changes_nothing(
    content: bytes, root: Client, provider: Provider
) -> None:
    file = SimpleUploadedFile("list", content)

    answer = root.post(desk.do_url("import-prices", provider), {"list_file": file, **WHY})

    assert answer.context["form"].errors
    assert costs_of("test-1") == OLD
