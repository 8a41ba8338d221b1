"""A team's company, address and tax id."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import Company, TeamEvent, User
from accounts.teams.company import Details, read_details
from accounts.teams.members import own_team
from billing.ledger.wallets import wallet_of
from billing.statements.month import list_months, make_statement

PAGE = "/dashboard/settings/company/"
ACME: dict[str, Any] = {
    "name": "Acme GmbH",
    "street": "Hauptstr. 1",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
    "tax_id": "de 123 456 789",
}


def test_what_is_saved_stands_on_the_statement(as_alice: Client, alice: User) -> None:
    saved = as_alice.post(PAGE, ACME)
    wallet = wallet_of(alice)

    statement = make_statement(wallet, list_months(wallet)[0])

    assert saved["Location"] == PAGE
    assert list(statement.company) == [
        "Acme GmbH",
        "Hauptstr. 1",
        "10115 Berlin, DE",
        "Tax id DE123456789",
    ]
    assert "Acme GmbH" in as_alice.get(PAGE).content.decode()


def test_the_trail_says_that_it_changed_and_not_to_what(as_alice: Client) -> None:
    for _ in range(2):
        as_alice.post(PAGE, ACME)

    event = TeamEvent.objects.get(action="company_changed")
    assert (event.before, event.after, event.subject) == ({}, {}, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * 121),
        ("street", "x" * 121),
        ("postal_code", "x" * 21),
        ("city", "x" * 81),
        ("country", "ZZ"),
        ("country", "Germany"),
        ("tax_id", "DE"),
        ("tax_id", "DEABCDEF"),
        ("tax_id", "DE12345678901234"),
        ("tax_id", "<script>"),
        ("tax_id", "12"),
    ],
)
def test_what_is_not_possible_is_refused_and_changes_nothing(
    as_alice: Client, alice: User, field: str, value: str
) -> None:
    answer = as_alice.post(PAGE, {**ACME, field: value})

    assert answer.status_code == 400
    assert field in answer.context["form"].errors
    assert read_details(own_team(alice)) == Details()


@pytest.mark.parametrize(
    ("country", "typed", "kept"),
    [
        ("DE", "12/345/67890", "12/345/67890"),
        ("GR", "EL 123456789", "EL123456789"),
        ("IE", "ie1234567wa", "IE1234567WA"),
        ("US", "12-3456789", "12-3456789"),
        ("", "", ""),
    ],
)
def test_a_tax_id_of_any_country_is_kept(
    as_alice: Client, country: str, typed: str, kept: str
) -> None:
    as_alice.post(PAGE, {**ACME, "country": country, "tax_id": typed})

    assert Company.objects.get().tax_id == kept
