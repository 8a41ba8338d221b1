"""Our accounts at providers: usage as they count it, and what is left. The sandbox is the provider.

Our receipts say that on 2 March two requests of gpt-4o used 20 prompt and 10 completion tokens, and
cost 0.33 dollars; it is 2¾ days later.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import User
from billing.models import ExchangeRate, InboxItem, UsageRecord
from billing.rollups.due import note_booked
from billing.rollups.sweep import roll_up
from common.encryption import decrypt_secret
from proxy.models import Provider, ProviderAccount
from proxy.upstreams.providers.balances import sweep_balances
from proxy.upstreams.providers.setup import enter_secret
from proxy.upstreams.providers.usage_sweep import sweep_usage
from tests import desk
from tests.proxy.conftest import ADMIN_KEY, UPSTREAM_KEY, Sandbox, sell
from tokenproxy_site.metrics.snapshot import take_snapshot

TODAY = datetime(2026, 3, 5, 6, tzinfo=UTC)
SECOND = datetime(2026, 3, 2, 12, tzinfo=UTC)
USED = {
    "day": "2026-03-02",
    "model": "gpt-4o",
    "input_tokens": 20,
    "output_tokens": 10,
    "num_model_requests": 2,
}
USAGE_PATH = "/v1/organization/usage/completions"
WHY = {"reason": "a test"}
DAYS = {"first_day": "2026-03-01", "last_day": "2026-03-04"}


@pytest.fixture(autouse=True)
def fifth_of_march() -> Iterator[None]:
    with time_machine.travel(TODAY, tick=True):
        yield


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))


@pytest.fixture
def account(
    settings: Any, db: None, redis_wallets: object, upstream: Sandbox
) -> Callable[..., ProviderAccount]:
    """Enter an account at the sandbox, which sold us what our receipts say."""
    settings.ALLOW_LOOPBACK_PROVIDERS = True
    sell(upstream, "gpt-4o")
    provider = Provider.objects.get()
    buyer = desk.make_customer("alice@example.com")
    for number in range(2):
        record = desk.make_usage(buyer.wallet, buyer.key, request_id=f"asked-{number}")
        record.provider_name, record.model_name, record.cost_nanos = (
            "sandbox",
            "gpt-4o",
            165_000_000,
        )
        record.started_at = record.ended_at = SECOND
        record.save()
    note_booked(UsageRecord.objects.all(), [])
    roll_up()

    def enter(shape: str, secret: str = ADMIN_KEY, **fields: Any) -> ProviderAccount:
        account = ProviderAccount(provider=provider, shape=shape, **fields)
        if secret:
            enter_secret(account, secret)
        account.save()
        return account

    return enter


def seed(upstream: Sandbox, *used: dict[str, Any], **paid: float) -> None:
    httpx.post(f"{upstream.url}/control/account", json={"used": used, **paid}).raise_for_status()


def fail(upstream: Sandbox, fault: str, path: str) -> None:
    rule = {"fault": fault, "model": path}
    httpx.post(f"{upstream.url}/control/faults", json=rule).raise_for_status()


@contextmanager
def answering(body: object) -> Iterator[str]:
    """Serve the same body at each address."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()


def move(account: ProviderAccount, base_url: str) -> None:
    """Let the account be elsewhere, its key entered for there."""
    Provider.objects.update(base_url=base_url)
    account.provider.refresh_from_db()
    enter_secret(account, ADMIN_KEY)
    account.save()


def findings(kind: str) -> list[str]:
    return list(InboxItem.objects.filter(kind=kind).values_list("summary", flat=True))


def test_usage_is_fetched_by_day_and_model_and_agrees(
    account: Any, upstream: Sandbox, root: Client
) -> None:
    provider = account("openai").provider
    # The sandbox tells the name of the snapshot, and takes $0.15 and $0.60 for a million.
    seed(upstream, {**USED, "input_tokens": 20, "output_tokens": 10})

    page = root.post(desk.do_url("fetch-usage", provider), {**DAYS, "_preview": "1"})

    [row] = page.context["preview"].rows
    assert row[:3] == ["2026-03-02 gpt-4o", "20 → 20", "10 → 10"]
    # 20 × 0.15 + 10 × 0.60 millionths are 0.000009.
    assert row[3] == "0.0000 → 0.3300"
    assert not InboxItem.objects.exists()


def test_what_differs_is_filed_once_however_often_it_is_fetched(
    account: Any, upstream: Sandbox
) -> None:
    told = account("openai")
    seed(upstream, {**USED, "input_tokens": 40})

    counts = [sweep_usage(), sweep_usage()]

    assert counts == [1, 1]
    [item] = InboxItem.objects.filter(kind="usage_differs")
    assert item.reference == "sandbox@2026-03-02:gpt-4o"
    assert (item.detail["their_prompt_tokens"], item.detail["our_prompt_tokens"]) == ("40", "20")
    told.refresh_from_db()
    assert told.usage_at is not None


def test_a_day_that_they_do_not_know_of_differs_too(account: Any, upstream: Sandbox) -> None:
    account("openai")

    sweep_usage()

    [item] = InboxItem.objects.filter(kind="usage_differs")
    assert (item.detail["their_prompt_tokens"], item.detail["our_prompt_tokens"]) == ("0", "20")


def test_embeddings_and_what_else_is_billed_are_lines_of_their_own(
    account: Any, upstream: Sandbox, root: Client
) -> None:
    provider = account("openai").provider
    embedded = {"day": "2026-03-03", "kind": "embeddings", "model": "e-1", "input_tokens": 7}
    seed(upstream, USED, embedded)

    page = root.post(desk.do_url("fetch-usage", provider), {**DAYS, "_preview": "1"})

    rows = {row[0]: row[1] for row in page.context["preview"].rows}
    assert rows == {"2026-03-02 gpt-4o": "20 → 20", "2026-03-03 e-1": "7 → 0"}


def test_costs_that_belong_to_no_item_are_a_line_of_their_own(
    account: Any, upstream: Sandbox, root: Client
) -> None:
    provider = account("openai").provider
    seed(upstream, USED, other_costs=0.5)

    page = root.post(desk.do_url("fetch-usage", provider), {**DAYS, "_preview": "1"})

    costs = {row[0]: row[3] for row in page.context["preview"].rows}
    assert costs["2026-03-02 other costs"] == "0.5000 → 0.0000"
    assert len(costs) == 2


REFUSALS = [
    ("401", "401, it does not know the key."),
    ("429-30", "429, it is asked too often. It asks to wait 30 s."),
    ("500", "500, it refuses."),
]


@pytest.mark.parametrize(("fault", "words"), REFUSALS)
def test_a_refusal_is_one_finding_and_changes_nothing(
    fault: str, words: str, account: Any, upstream: Sandbox
) -> None:
    told = account("openai")
    fail(upstream, fault, USAGE_PATH)

    for _ in range(2):
        assert sweep_usage() == 0

    [summary] = findings("provider_account_failing")
    assert summary.startswith(f"sandbox does not tell our usage: {words}")
    assert ADMIN_KEY not in summary
    assert UPSTREAM_KEY not in summary
    assert not InboxItem.objects.filter(kind="usage_differs").exists()
    told.refresh_from_db()
    assert told.usage_at is None


def test_a_key_that_may_not_ask_is_a_finding(account: Any, upstream: Sandbox) -> None:
    account("openai", secret=UPSTREAM_KEY)

    sweep_usage()

    [summary] = findings("provider_account_failing")
    assert "403, the key may not ask this" in summary


def test_a_provider_that_asks_to_wait_is_left_alone_so_long(
    account: Any, upstream: Sandbox
) -> None:
    told = account("openai")
    fail(upstream, "429-3600", USAGE_PATH)
    sweep_usage()
    httpx.post(f"{upstream.url}/control/faults", json=[]).raise_for_status()
    seed(upstream, USED)

    sweep_usage()
    told.refresh_from_db()
    at_once = told.usage_at

    with time_machine.travel(TODAY + timedelta(hours=2), tick=True):
        sweep_usage()
    told.refresh_from_db()
    assert (at_once, told.usage_at is None, told.rests_until) == (None, False, None)


BUCKET = {"object": "bucket", "start_time": 1772409600, "end_time": 1772496000}
TOKENS = {"input_tokens": 20, "output_tokens": 10, "model": "gpt-4o"}
STRANGE = {
    "no JSON": b"<html>",
    "no number": b'{"data": NaN}',
    "a list": [],
    "no data": {"object": "page", "has_more": False},
    "a bucket that is no day": {
        "data": [{**BUCKET, "start_time": 1772409601, "results": []}],
        "has_more": False,
    },
    "no model": {
        "data": [{**BUCKET, "results": [{**TOKENS, "model": None}]}],
        "has_more": False,
    },
    "no tokens": {"data": [{**BUCKET, "results": [{"model": "gpt-4o"}]}], "has_more": False},
    "negative tokens": {
        "data": [{**BUCKET, "results": [{**TOKENS, "input_tokens": -1}]}],
        "has_more": False,
    },
    "words for tokens": {
        "data": [{**BUCKET, "results": [{**TOKENS, "input_tokens": "20"}]}],
        "has_more": False,
    },
    "pages without an end": {"data": [], "has_more": True, "next_page": "page_1"},
}


@pytest.mark.parametrize("body", STRANGE.values(), ids=STRANGE)
def test_a_report_of_unknown_shape_is_a_finding_and_changes_nothing(
    body: object, account: Any
) -> None:
    told = account("openai")

    with answering(body) as base_url:
        move(told, base_url)
        sweep_usage()

    assert len(findings("provider_account_failing")) == 1
    assert not InboxItem.objects.filter(kind="usage_differs").exists()
    told.refresh_from_db()
    assert told.usage_at is None


def test_the_desk_says_what_is_wrong(account: Any, upstream: Sandbox, root: Client) -> None:
    provider = account("openai").provider
    fail(upstream, "401", USAGE_PATH)
    url = desk.do_url("fetch-usage", provider)

    looked = root.post(url, {**DAYS, "_preview": "1"})
    done = root.post(url, {**DAYS, **WHY}, follow=True)
    late = root.post(url, {**DAYS, "last_day": "2026-03-05", "_preview": "1"})

    assert "401, it does not know the key" in str(looked.context["form"].errors)
    assert "401, it does not know the key" in str(next(iter(done.context["messages"])))
    assert "yesterday at the latest" in str(late.context["form"].errors)


@pytest.mark.parametrize(
    ("shape", "secret"), [("openrouter", ADMIN_KEY), ("deepseek", ADMIN_KEY), ("deepseek", "")]
)
def test_a_balance_is_asked_for_and_kept_with_its_age(
    shape: str, secret: str, account: Any, upstream: Sandbox, root: Client
) -> None:
    told = account(shape, secret)
    seed(upstream, total_credits=12)

    assert sweep_balances() == 1

    told.refresh_from_db()
    assert (told.balance, told.currency) == (Decimal(12), "usd")
    assert told.balance_at is not None
    # What our receipts say of 2¾ days is 0.33 dollars.
    assert round(told.daily_cost, 2) == Decimal("0.12")
    assert told.days_left == 100
    page = root.get(desk.page_url(told.provider)).content.decode()
    assert "12.00 USD, 100.0 days at present cost" in page
    assert "12.00 USD" in root.get(desk.list_url(Provider)).content.decode()


SHAPES: dict[str, tuple[object, Decimal]] = {
    "openrouter": (
        {"data": {"total_credits": 100.5, "total_usage": 25.75}},
        Decimal("74.75"),
    ),
    "deepseek": (
        {
            "is_available": True,
            "balance_infos": [
                {"currency": "CNY", "total_balance": "0.00"},
                {"currency": "USD", "total_balance": "110.00"},
            ],
        },
        Decimal(110),
    ),
    "moonshot": (
        {"code": 0, "data": {"available_balance": 49.58894}, "scode": "0x0", "status": True},
        Decimal("49.58894"),
    ),
    "siliconflow": (
        {"code": 20000, "data": {"balance": "0.88", "totalBalance": "88.88"}},
        Decimal("88.88"),
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_providers_own_shape_is_read_and_no_other(shape: str, account: Any) -> None:
    told, (body, left) = account(shape), SHAPES[shape]

    with answering(body) as base_url:
        move(told, base_url)
        sweep_balances()
    told.refresh_from_db()
    known = told.balance, told.currency

    strange: list[object] = [{}, [], {"data": None}, {"data": {"total_credits": "x"}}, b"<html>"]
    for other in strange:
        with answering(other) as base_url:
            move(told, base_url)
            assert sweep_balances() == 0

    assert known == (left, "usd")
    told.refresh_from_db()
    assert (told.balance, told.currency) == known
    assert len(findings("provider_account_failing")) == 1


def test_a_balance_below_what_staff_want_is_filed_until_it_is_resolved(
    account: Any, upstream: Sandbox
) -> None:
    told = account("openrouter", alarm_below=Decimal(20))
    seed(upstream, total_credits=19.99)

    for days in (0, 0, 1):
        with time_machine.travel(TODAY + timedelta(days=days), tick=True):
            sweep_balances()

    [summary] = findings("provider_balance_low")
    assert summary == "sandbox has 19.99 USD left, less than 20.00."
    InboxItem.objects.update(resolved_at=TODAY, resolution="Paid in")
    with time_machine.travel(TODAY + timedelta(days=2), tick=True):
        sweep_balances()
    assert len(findings("provider_balance_low")) == 2
    told.refresh_from_db()
    assert told.is_low
    seed(upstream, total_credits=20)
    sweep_balances()
    told.refresh_from_db()
    assert not told.is_low


def test_the_first_page_tells_what_is_left_to_those_who_may_see_it(
    account: Any, upstream: Sandbox, root: Client
) -> None:
    account("openrouter", alarm_below=Decimal(20))
    seed(upstream, total_credits=12)
    before = root.get("/admin/").content.decode()
    sweep_balances()
    support = desk.make_staff("support@example.com", "proxy.view_provider")

    page = root.get("/admin/").content.decode()

    assert "not known yet" in before
    assert 'state-bad">12.00 USD, 100.0 days at present cost' in page
    assert "0.12 USD a day" in page
    assert "12.00 USD" not in support.get("/admin/").content.decode()


def test_operators_see_what_is_left(
    account: Any, upstream: Sandbox, client: Client, settings: Any
) -> None:
    settings.METRICS_TOKEN = "scrape-me"
    account("openrouter", alarm_below=Decimal(20))
    seed(upstream, total_credits=12)
    sweep_balances()

    take_snapshot()
    told = client.get("/metrics", headers={"Authorization": "Bearer scrape-me"}).content.decode()

    assert 'tokenproxy_provider_balance{currency="usd",provider="sandbox"} 12.0' in told
    assert 'tokenproxy_provider_balance_days{provider="sandbox"} 100.0' in told
    assert 'tokenproxy_provider_balance_low{provider="sandbox"} 1.0' in told
    assert 'tokenproxy_provider_balance_age_seconds{provider="sandbox"} ' in told


def test_a_provider_out_of_reach_is_a_finding_once_the_balance_is_old(
    account: Any, upstream: Sandbox
) -> None:
    told = account("openrouter")
    sweep_balances()
    fail(upstream, "503", "/v1/credits")

    sweep_balances()
    at_once = findings("provider_account_failing")
    with time_machine.travel(TODAY + timedelta(hours=2), tick=True):
        sweep_balances()

    assert at_once == []
    assert len(findings("provider_account_failing")) == 1
    told.refresh_from_db()
    assert told.balance == 100


def test_a_balance_in_another_currency_lasts_by_the_rate_that_staff_set(account: Any) -> None:
    told = account("deepseek")
    purse = {"balance_infos": [{"currency": "CNY", "total_balance": "24.00"}]}
    with answering(purse) as base_url:
        move(told, base_url)
        sweep_balances()
        told.refresh_from_db()
        without_a_rate = told.days_left
        ExchangeRate.objects.create(currency="cny", day=SECOND.date(), rate=Decimal("0.5"))
        sweep_balances()
    told.refresh_from_db()

    assert without_a_rate is None
    # 24 × 0.5 at 0.12 a day.
    assert told.days_left == 100


def test_the_key_is_not_sent_to_another_host(account: Any, upstream: Sandbox) -> None:
    account("openrouter")
    moved = upstream.base_url.replace("127.0.0.1", "localhost")
    Provider.objects.update(base_url=moved)

    assert sweep_balances() == 0

    [summary] = findings("provider_account_failing")
    assert "was entered for http://127.0.0.1" in summary


def form(account: ProviderAccount | None, **fields: str) -> dict[str, str]:
    """Return the page of a provider without keys and routes, as it is sent."""
    provider = Provider.objects.get()
    has_one = int(account is not None)
    return {
        "name": provider.name,
        "base_url": provider.base_url,
        "is_active": "on",
        "connect_timeout_s": "5",
        "first_byte_timeout_s": "60",
        "idle_timeout_s": "60",
        "total_timeout_s": "600",
        "probes_per_hour": "0",
        "keys-TOTAL_FORMS": "0",
        "keys-INITIAL_FORMS": "0",
        "routes-TOTAL_FORMS": "0",
        "routes-INITIAL_FORMS": "0",
        "account-TOTAL_FORMS": "1",
        "account-INITIAL_FORMS": str(has_one),
        "account-0-id": str(account.pk) if account else "",
        "account-0-provider": str(provider.pk),
        **{f"account-0-{name}": value for name, value in fields.items()},
    }


def test_an_account_is_entered_at_the_desk_and_its_key_never_shown(
    account: Any, root: Client
) -> None:
    url = desk.page_url(Provider.objects.get())

    root.post(url, form(None, shape="openai", secret=ADMIN_KEY, alarm_below="5"))
    told = ProviderAccount.objects.get()
    page = root.get(url).content.decode()
    root.post(url, form(told, shape="openrouter", alarm_below="7.50"))
    kept = ProviderAccount.objects.get()

    assert decrypt_secret(bytes(told.encrypted_secret)) == ADMIN_KEY
    assert told.hint == ADMIN_KEY[-4:]
    assert ADMIN_KEY not in page
    assert ADMIN_KEY not in desk.said()
    assert (kept.shape, kept.alarm_below) == ("openrouter", Decimal("7.50"))
    assert bytes(kept.encrypted_secret) == bytes(told.encrypted_secret)


@pytest.mark.parametrize(
    ("shape", "secret", "words"),
    [
        ("openai", "", "takes a key of the account"),
        ("openrouter", "", "takes a key of the account"),
        ("openai", "a b", "neither spaces"),
        ("deepseek", "ключ", "neither spaces"),
        ("", ADMIN_KEY, "required"),
        ("oracle", ADMIN_KEY, "valid choice"),
    ],
)
def test_an_account_that_can_not_be_asked_is_refused(
    shape: str, secret: str, words: str, account: Any, root: Client
) -> None:
    page = root.post(
        desk.page_url(Provider.objects.get()), form(None, shape=shape, secret=secret)
    ).content.decode()

    assert words in page
    assert not ProviderAccount.objects.exists()


def test_another_way_of_telling_forgets_what_the_first_told(account: Any, root: Client) -> None:
    told = account("openrouter")
    sweep_balances()

    root.post(desk.page_url(told.provider), form(told, shape="deepseek"))

    told.refresh_from_db()
    assert (told.balance, told.balance_at, told.currency) == (None, None, "")


def test_the_account_key_is_asked_for_again_when_the_host_changes(
    account: Any, root: Client
) -> None:
    told = account("openai")
    fields = form(told, shape="openai")

    page = root.post(
        desk.page_url(told.provider), {**fields, "base_url": "https://api.example.com/v1"}
    )

    assert "This key was entered for" in page.content.decode()
    told.provider.refresh_from_db()
    assert "127.0.0.1" in told.provider.base_url


def test_the_buttons_say_where_there_is_nothing_to_ask(account: Any, root: Client) -> None:
    told = account("openrouter")

    def said(action: str) -> str:
        answer = root.post(desk.do_url(action, told.provider), {**DAYS, **WHY}, follow=True)
        return str(next(iter(answer.context["messages"])))

    assert "No account with OpenAI's usage" in said("fetch-usage")
    assert "Left: 100.00 USD" in said("ask-balance")
    told.delete()
    assert "No account that tells a balance" in said("ask-balance")


def test_a_balance_without_its_instant_is_refused_by_the_database(account: Any) -> None:
    account("openrouter")

    with pytest.raises(IntegrityError), transaction.atomic():
        ProviderAccount.objects.update(balance=1, currency="usd")
