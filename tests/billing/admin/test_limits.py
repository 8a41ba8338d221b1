"""Limits that staff set, with a reason and a record; and those that a shell sets."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import ApiKey, User
from billing.models import Wallet
from tests import desk

WHY = {"reason": "Asked for by mail"}


def test_a_keys_limits_are_set_with_a_record(root: Client, alice: desk.Customer) -> None:
    root.post(
        desk.do_url("limit", alice.key),
        {**WHY, "requests_per_minute": "9000", "allowed_networks": "10.0.0.0/8"},
    )

    alice.key.refresh_from_db()
    record = desk.last_record().get_change_message()
    assert alice.key.requests_per_minute == 9_000
    assert alice.key.allowed_networks == ["10.0.0.0/8"]
    assert "requests per minute: default → 9000" in record
    assert "allowed networks: all → 10.0.0.0/8" in record
    assert "Asked for by mail" in record


def test_a_page_of_limits_begins_with_those_in_force(root: Client, alice: desk.Customer) -> None:
    ApiKey.objects.filter(pk=alice.key.pk).update(
        monthly_cap_credits=4_711, allowed_models=["gpt-test"]
    )

    page = root.get(desk.do_url("limit", alice.key)).content.decode()

    assert 'value="4711"' in page
    assert 'value="gpt-test"' in page and "checked" in page


def test_limits_without_a_reason_change_nothing(root: Client, alice: desk.Customer) -> None:
    root.post(desk.do_url("limit", alice.key), {"requests_per_minute": "9000"})

    alice.key.refresh_from_db()
    assert alice.key.requests_per_minute is None


def test_a_wallets_limits_are_set_and_pushed(root: Client, alice: desk.Customer) -> None:
    root.post(
        desk.do_url("limit", alice.wallet),
        {**WHY, "tokens_per_minute": "5", "concurrent_requests": ""},
    )

    wallet = Wallet.objects.get(pk=alice.wallet.pk)
    assert (wallet.tokens_per_minute, wallet.concurrent_requests) == (5, None)
    assert wallet.version > alice.wallet.version
    assert "tokens per minute 5" in desk.last_record().get_change_message()


def test_who_may_only_look_sets_no_limits(alice: desk.Customer) -> None:
    clerk = desk.make_staff("clerk@example.com", "accounts.view_apikey", "billing.view_wallet")

    answers = [clerk.post(desk.do_url("limit", row), WHY) for row in (alice.key, alice.wallet)]

    assert [answer.status_code for answer in answers] == [403, 403]


def test_a_shell_issues_a_key_with_limits(alice: desk.Customer) -> None:
    out = StringIO()

    call_command(
        "issue_key",
        "bob@example.com",
        "--name=CI",
        "--monthly-cap-credits=500",
        "--concurrent-requests=3",
        "--expires-in-days=7",
        "--model=gpt-test",
        "--network=10.0.0.0/8",
        stdout=out,
    )

    key = ApiKey.objects.get(user__email="bob@example.com")
    assert out.getvalue().splitlines()[-1].startswith("tp_live_")
    assert (key.monthly_cap_credits, key.concurrent_requests) == (500, 3)
    assert (key.allowed_models, key.allowed_networks) == (["gpt-test"], ["10.0.0.0/8"])
    assert key.expires_at is not None


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--requests-per-minute=0", "--requests-per-minute must be between 1"),
        ("--lifetime-cap-credits=-1", "--lifetime-cap-credits must be between 0"),
        ("--expires-in-days=40000", "--expires-in-days must be between 1"),
        ("--network=10.0.0.1/8", "write 10.0.0.0/8"),
    ],
)
def test_a_shell_issues_no_key_with_limits_that_are_none(
    alice: desk.Customer, option: str, words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("issue_key", alice.user.email, option)

    assert list(ApiKey.objects.filter(user=alice.user)) == [alice.key]
    assert User.objects.count() == 1
