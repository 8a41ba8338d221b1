"""Price lists of providers at the desk: what would change, the change, and what changes nothing."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.desk.actions import Asked, PreviewOutdated, seal_of
from accounts.models import User
from billing.models import UsageRecord
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from proxy.admin.price_imports import import_prices
from proxy.models import Provider, Route
from proxy.upstreams.providers.price_lists import plan_import
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


def look_and_import(root: Client, provider: Provider, **answers: Any) -> Any:
    """Look at what would change, then do it."""
    url = desk.do_url("import-prices", provider)
    looked = root.post(url, {**answers, "_preview": "1"})
    text, seal = looked.context["form"]["text"].value(), looked.context["seal"]
    return root.post(url, {**answers, "list_file": "", "text": text, "_seal": seal, **WHY})


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

    look_and_import(root, provider, list_file=file)

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


def test_nothing_is_imported_that_was_not_looked_at(root: Client, provider: Provider) -> None:
    url = desk.do_url("import-prices", provider)

    answer = root.post(url, {"text": CSV, **WHY})

    assert len(answer.context["preview"].rows) == 1
    assert "look at what would change" in str(answer.context["form"].errors)
    assert costs_of("test-1") == OLD
    root.post(url, {"text": CSV, "_seal": answer.context["seal"], **WHY})
    assert costs_of("test-1") == NEW


@pytest.mark.parametrize("what", ["list", "price", "route"])
def test_what_has_changed_since_it_was_looked_at_is_shown_again(
    what: str, root: Client, provider: Provider
) -> None:
    url, text = desk.do_url("import-prices", provider), CSV
    seal = root.post(url, {"text": text, "_preview": "1"}).context["seal"]
    if what == "list":
        text = CSV.replace("2.5,", "2.6,")
    elif what == "price":
        Route.objects.filter(upstream_model="test-1").update(prompt_cost_micros=7)
    else:
        Route.objects.filter(upstream_model="test-2").update(upstream_model="other-1")
        text += "other-1,1,1,1\r\n"
    before = costs_of("test-1")

    answer = root.post(url, {"text": text, "_seal": seal, **WHY})

    assert "has changed since you looked" in str(answer.context["form"].errors)
    assert answer.context["preview"].rows
    assert costs_of("test-1") == before
    root.post(url, {"text": text, "_seal": answer.context["seal"], **WHY})
    assert costs_of("test-1") != before


def test_a_missing_reason_does_not_forget_what_was_looked_at(
    root: Client, provider: Provider
) -> None:
    url = desk.do_url("import-prices", provider)
    seal = root.post(url, {"text": CSV, "_preview": "1"}).context["seal"]

    answer = root.post(url, {"text": CSV, "_seal": seal, "reason": ""})

    assert answer.context["seal"] == seal
    root.post(url, {"text": CSV, "_seal": seal, **WHY})
    assert costs_of("test-1") == NEW


def test_a_price_that_changes_while_it_is_imported_stops_the_import(
    root: Client, provider: Provider
) -> None:
    request = RequestFactory().post("/", {"_seal": plan_seal(provider)})
    Route.objects.filter(upstream_model="test-1").update(prompt_cost_micros=7)
    asked = Asked(request, provider, {"text": CSV, "name_prefix": ""})

    with pytest.raises(PreviewOutdated), transaction.atomic():
        import_prices(asked)

    assert costs_of("test-1") == (7, *OLD[1:])


def plan_seal(provider: Provider) -> str:
    return seal_of(provider.pk, plan_import(provider, CSV).basis)


def test_names_may_have_a_prefix_in_the_list(root: Client, provider: Provider) -> None:
    text = f"{HEADER}\nazure/test-1,2.5,1.25,10"

    look_and_import(root, provider, text=text, name_prefix="azure/")

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
