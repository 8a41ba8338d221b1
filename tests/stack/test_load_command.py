"""`python -m bench.load`, as somebody types it."""

import subprocess
import sys

import pytest

from devstack.environment import ROOT
from tests.stack.shop import Shop

pytestmark = pytest.mark.stack


def load(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.load", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_sends_what_it_is_told_and_says_how_it_went(shop: Shop) -> None:
    alice = shop.open_account(credits=1_000_000)
    urls = [option for url in shop.stack.web_urls for option in ("--url", url)]

    done = load(*urls, "--key", alice.secret, "--requests", "40", "--seed", "3")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 requests in ")
    assert "40  served" in done.stdout
    shop.await_rest()
    assert len(shop.receipts(alice)) == 40


def test_it_says_how_to_sell_what_is_not_on_sale(shop: Shop) -> None:
    alice = shop.open_account(credits=1_000)

    done = load("--url", shop.stack.url, "--key", alice.secret, "--model", "gpt-imaginary")

    assert done.returncode == 2
    assert "not on sale: gpt-imaginary" in done.stderr
    assert "manage.py add_provider" in done.stderr
    assert shop.receipts(alice) == []


def test_it_says_when_nobody_answers() -> None:
    done = load("--url", "http://127.0.0.1:1", "--key", "tp_live_x")

    assert done.returncode == 2
    assert done.stderr.startswith("error: http://127.0.0.1:1: Cannot connect")
