"""The page of statements, and who may download what."""

import pytest
from django.test import Client

from accounts.models import User
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import Wallet
from tests import desk
from tests.billing.views.conftest import NOON

PAGE = "/dashboard/statements/"


@pytest.fixture
def wallet(alice: User) -> Wallet:
    """Alice's, since March 2026, with a gift of today."""
    grant_credits(wallet_of(alice), credits=500, reason="test")
    Wallet.objects.filter(team__person=alice).update(created_at=NOON)
    return Wallet.objects.get(team__person=alice)


def test_it_lists_the_months_with_their_files(as_alice: Client, wallet: Wallet) -> None:
    page = as_alice.get(PAGE).content.decode()

    assert "March 2026" in page
    assert f"{PAGE}2026-03.pdf" in page
    assert f"{PAGE}2026-03.csv" in page
    assert page.count("In progress") == 1


@pytest.mark.parametrize(
    ("form", "kind", "start"),
    [("pdf", "application/pdf", b"%PDF-"), ("csv", "text/csv; charset=utf-8", b"\xef\xbb\xbf")],
)
def test_a_month_can_be_downloaded(
    as_alice: Client, wallet: Wallet, form: str, kind: str, start: bytes
) -> None:
    answer = as_alice.get(f"{PAGE}2026-03.{form}")

    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Content-Disposition"] == (
        f'attachment; filename="statement-2026-03.{form}"'
    )
    assert answer.content.startswith(start)


@pytest.mark.parametrize(
    "name", ["2026-02.pdf", "2999-01.pdf", "2026-03.exe", "2026-3.pdf", "march.pdf", "2026-13.csv"]
)
def test_what_is_not_there_is_404(as_alice: Client, wallet: Wallet, name: str) -> None:
    assert as_alice.get(PAGE + name).status_code == 404


def test_each_customer_gets_the_own_statement(as_bob: Client, wallet: Wallet) -> None:
    month = f"{desk.just_now():%Y-%m}"

    answer = as_bob.get(f"{PAGE}{month}.csv").content.decode()

    assert "500" not in answer


def test_who_is_not_logged_in_gets_nothing(as_charlie: Client, wallet: Wallet) -> None:
    answer = as_charlie.get(f"{PAGE}2026-03.csv")

    assert answer.headers["Location"].startswith("/accounts/login/")


def test_staff_open_a_customers_statement(wallet: Wallet) -> None:
    clerk = desk.make_staff("clerk@example.com", "billing.view_wallet", "billing.view_ledgerentry")
    page = f"/admin/billing/wallet/{wallet.pk}/statements/"

    link = clerk.get(desk.page_url(wallet)).content.decode()
    listed = clerk.get(page).content.decode()
    answer = clerk.get(f"{page}{desk.just_now():%Y-%m}.csv").content.decode()

    assert page in link
    # Who may not see addresses gets them masked.
    assert "Statements of a…@example.com" in listed
    assert '"Gifts and codes"' in answer


def test_staff_without_the_ledger_get_no_statement(wallet: Wallet) -> None:
    clerk = desk.make_staff("clerk@example.com", "billing.view_wallet")

    for name in ("", "2026-03.csv"):
        assert clerk.get(f"/admin/billing/wallet/{wallet.pk}/statements/{name}").status_code == 403
