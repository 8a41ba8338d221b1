"""Limits that staff set, with a reason and a record; and those that a shell sets."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import ApiKey, User
from billing.models import Wallet
from tests import desk
from tests.billing.views.conftest import ANYWHERE

WHY = {"reason": "Asked for by mail"}


def test_a_keys_limits_are_set_with_a_record(root: Client, alice: desk.Buyer) -> None:
    root.post(
        desk.do_url("limit", alice.key),
        {
            **WHY,
            **ANYWHERE,
            "requests_per_minute": "9000",
            "networks_scope": "only",
            "allowed_networks": "10.0.0.0/8",
        },
    )

    alice.key.refresh_from_db()
    record = desk.said()
    assert alice.key.requests_per_minute == 9_000
    assert alice.key.allowed_networks == ["10.0.0.0/8"]
    assert "requests per minute: default → 9000" in record
    assert "allowed networks: all → 10.0.0.0/8" in record
    assert "Asked for by mail" in record


def test_a_page_of_limits_begins_with_those_in_force(root: Client, alice: desk.Buyer) -> None:
    ApiKey.objects.filter(pk=alice.key.pk).update(
        monthly_cap_credits=4_711, allowed_models=["gpt-test"]
    )

    page = root.get(desk.do_url("limit", alice.key)).content.decode()

    assert 'value="4,711"' in page
    assert 'value="gpt-test"' in page
    assert "checked" in page


def test_a_model_that_is_no_longer_sold_stays_allowed(root: Client, alice: desk.Buyer) -> None:
    ApiKey.objects.filter(pk=alice.key.pk).update(allowed_models=["gpt-gone"])

    root.post(
        desk.do_url("limit", alice.key),
        {**WHY, **ANYWHERE, "models_scope": "only", "allowed_models": ["gpt-gone"]},
    )

    alice.key.refresh_from_db()
    assert alice.key.allowed_models == ["gpt-gone"]


def test_limits_are_set_for_one_at_a_time(root: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")
    ApiKey.objects.update(monthly_cap_credits=7)
    Wallet.objects.update(requests_per_minute=7)

    keys = root.post(desk.do_url("limit", alice.key, bob.key), {**WHY, **ANYWHERE})
    wallets = root.post(desk.do_url("limit", alice.wallet, bob.wallet), WHY)
    asked = root.post(
        desk.list_url(ApiKey),
        {"action": "limit", "_selected_action": [alice.key.pk, bob.key.pk]},
        follow=True,
    )

    assert (keys.status_code, wallets.status_code) == (404, 404)
    assert "Choose one at a time." in asked.content.decode()
    assert ApiKey.objects.filter(monthly_cap_credits=7).count() == 2
    assert Wallet.objects.filter(requests_per_minute=7).count() == 2


def test_limits_without_a_reason_change_nothing(root: Client, alice: desk.Buyer) -> None:
    root.post(desk.do_url("limit", alice.key), {**ANYWHERE, "requests_per_minute": "9000"})

    alice.key.refresh_from_db()
    assert alice.key.requests_per_minute is None


def test_a_wallets_limits_are_set_and_pushed(root: Client, alice: desk.Buyer) -> None:
    root.post(
        desk.do_url("limit", alice.wallet),
        {**WHY, "tokens_per_minute": "5", "concurrent_requests": ""},
    )

    wallet = Wallet.objects.get(pk=alice.wallet.pk)
    assert (wallet.tokens_per_minute, wallet.concurrent_requests) == (5, None)
    assert wallet.version > alice.wallet.version
    assert "tokens per minute 5" in desk.said()


def test_who_may_only_look_sets_no_limits(alice: desk.Buyer) -> None:
    clerk = desk.make_staff("clerk@example.com", "accounts.view_apikey", "billing.view_wallet")

    answers = [clerk.post(desk.do_url("limit", row), WHY) for row in (alice.key, alice.wallet)]

    assert [answer.status_code for answer in answers] == [403, 403]


def test_a_shell_issues_a_key_with_limits(alice: desk.Buyer) -> None:
    out = StringIO()

    call_command(
        "issue_key",
        "bob@example.com",
        "--name=CI",
        # More than a column of 32 bits holds.
        "--monthly-cap-credits=3000000000",
        "--concurrent-requests=3",
        "--expires-in-days=7",
        "--model=gpt-test",
        "--network=10.0.0.0/8",
        stdout=out,
    )

    key = ApiKey.objects.get(created_by__email="bob@example.com")
    assert out.getvalue().splitlines()[-1].startswith("tp_live_")
    assert (key.monthly_cap_credits, key.concurrent_requests) == (3_000_000_000, 3)
    assert (key.allowed_models, key.allowed_networks) == (["gpt-test"], ["10.0.0.0/8"])
    assert key.expires_at is not None


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--requests-per-minute=0", "--requests-per-minute must be between 1"),
        ("--tokens-per-minute=2147483648", "--tokens-per-minute must be between 1"),
        ("--monthly-cap-credits=1000000000001", "and 1,000,000,000,000"),
        ("--lifetime-cap-credits=-1", "--lifetime-cap-credits must be between 0"),
        ("--expires-in-days=40000", "--expires-in-days must be between 1"),
        ("--network=10.0.0.1/8", "write 10.0.0.0/8"),
    ],
)
def test_a_shell_issues_no_key_with_limits_that_are_none(
    alice: desk.Buyer, option: str, words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("issue_key", alice.user.email, option)

    assert list(ApiKey.objects.filter(created_by=alice.user)) == [alice.key]
    assert User.objects.count() == 1


def test_a_shell_issues_no_key_for_more_models_than_are_kept(alice: desk.Buyer) -> None:
    models = [f"--model=m{number}" for number in range(201)]

    with pytest.raises(CommandError, match="At most 200 models; these are 201"):
        call_command("issue_key", alice.user.email, *models)

    assert list(ApiKey.objects.filter(created_by=alice.user)) == [alice.key]
