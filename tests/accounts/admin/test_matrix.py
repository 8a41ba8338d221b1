"""Each role × each address of the desk with a row that exists × looking and doing.

What is allowed is the table in `tests/desk_rights.py`, and nothing else. An allowed deed is done,
with a form that is right, and leaves a line in the audit trail; any other changes no row.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

from accounts.desk.actions import StaffActionsAdmin
from accounts.desk.roles import make_roles
from accounts.models import AuditLine
from tests.desk_rights import ACTIONS, OF_THE_SITE, OTHERS, PAGES, WHO, hire, is_in
from tests.desk_rows import WHY, Full, forms_of, make_everything
from tests.rows import everything

pytestmark = pytest.mark.timeout(600)

# Deeds that leave nothing to be seen here, and why.
NOTHING_COMES_OF = {
    "billing.approval withdraw": "only whoever asked may",
    "billing.export stop": "only whoever asked for it sees it",
    "billing.inboxitem end-hold": "the finding is about no hold",
    "billing.inboxitem let-go": "nobody has it",
    "billing.order ask-stripe": "nobody answers at Stripe's address",
    "billing.order refund-unused": "the order's credits are spent or disputed",
    "billing.order refund": "the order is disputed",
    "proxy.provider ask-balance": "it has no address to ask",
    "proxy.provider fetch-usage": "it has no address to ask",
    "proxy.provider import-models": "nobody answers at the provider's address",
    "proxy.provider compare-usage": "see test_usage_reports.py",
    "proxy.provider import-prices": "see test_price_imports.py",
    "proxy.provider test": "it has no route",
    "proxy.route test": "nobody answers at the provider's address",
    "end-visit": "nobody is visited",
    "search": "it only looks",
}


@dataclass(frozen=True)
class Deed:
    """Something that is asked of the desk, and who may."""

    name: str
    method: str
    url: str
    letters: str
    # What is sent; None if a look changes nothing.
    form: dict[str, Any] | None = None
    # Whether it may be done within a transaction, and so be taken back.
    is_atomic: bool = True


def base_of(page: str) -> str:
    return f"/admin/{page.replace('.', '/')}/"


def deeds_of_pages(full: Full, forms: dict[str, dict[str, Any]]) -> Iterator[Deed]:
    for page, (see, add, change, delete) in PAGES.items():
        base, pk = base_of(page), full.rows[page].pk
        yield Deed(f"{page} list", "get", base, see)
        yield Deed(f"{page} page", "get", f"{base}{pk}/change/", see)
        yield Deed(f"{page} history", "get", f"{base}{pk}/history/", see)
        for deed, letters, url in (
            ("add", add, f"{base}add/"),
            ("change", change, f"{base}{pk}/change/"),
            ("delete", delete, f"{base}{pk}/delete/"),
        ):
            name = f"{page} {deed}"
            form = {"post": "yes"} if deed == "delete" else forms.get(name, {"name": "x"})
            yield Deed(name, "post", url, letters, form)
            if deed != "change":
                yield Deed(f"{name} (look)", "get", url, letters)


def deeds_of_actions(full: Full, forms: dict[str, dict[str, Any]]) -> Iterator[Deed]:
    # Actions that wait for the network.
    waiting = {
        f"{model._meta.label_lower} {action.name}"
        for model, page in admin.site._registry.items()
        if isinstance(page, StaffActionsAdmin)
        for action in page.staff_actions
        if not action.is_atomic
    }
    for name, letters in ACTIONS.items():
        page, _, action = name.partition(" ")
        url = f"{base_of(page)}do/{action}/?ids={full.row_of(name).pk}"
        yield Deed(f"{name} (look)", "get", url, letters)
        form = {**WHY, **forms.get(name, {})}
        yield Deed(name, "post", url, letters, form, is_atomic=name not in waiting)


def deeds_beside(full: Full) -> Iterator[Deed]:
    user, wallet = full.buyer.user.pk, full.buyer.wallet.pk
    seat = full.buyer.wallet.team.memberships.get().pk
    for name, (address, letters) in OTHERS.items():
        url = address.replace("user/1", f"user/{user}").replace("wallet/0", f"wallet/{wallet}")
        yield Deed(name, "get", url, letters)
        if letters == "":
            yield Deed(f"{name} (do)", "post", url, letters, {"password1": "x", "password2": "x"})
    for name, (method, address, letters) in OF_THE_SITE.items():
        url, form = address.replace("as/0", f"as/{seat}"), {"q": "alice"}
        yield Deed(name, method, url, letters, form if method == "post" else None)


def every_deed(full: Full) -> list[Deed]:
    forms = forms_of(full)
    return [
        *deeds_of_pages(full, forms),
        *deeds_of_actions(full, forms),
        *deeds_beside(full),
    ]


@pytest.fixture
def full(db: None, redis_wallets: object, settings: Settings) -> Full:
    make_roles()
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    return make_everything()


def ask(browser: Client, deed: Deed) -> tuple[HttpResponse, int]:
    """Ask for something and take it back. Returns the answer, and how many lines it left."""
    before = AuditLine.objects.count()
    with ExitStack() as stack:
        if deed.is_atomic:
            stack.enter_context(transaction.atomic())
        answer = getattr(browser, deed.method)(deed.url, deed.form)
        if hasattr(answer, "render") and not answer.is_rendered:
            answer.render()
        lines = AuditLine.objects.count() - before
        if deed.is_atomic:
            transaction.set_rollback(True)
    return answer, lines


def test_every_page_has_a_row(full: Full) -> None:
    assert full.rows.keys() == PAGES.keys()


def test_the_deeds_that_leave_nothing_are_deeds() -> None:
    assert NOTHING_COMES_OF.keys() <= ACTIONS.keys() | OF_THE_SITE.keys()


@pytest.mark.parametrize("who", WHO)
def test_each_role_does_what_its_row_says_and_nothing_else(who: str, full: Full) -> None:
    browser = hire(who)
    deeds = every_deed(full)
    wrong: list[str] = []

    for deed in deeds:
        answer, lines = ask(browser, deed)
        is_refused = answer.status_code == 403
        if is_refused == is_in(who, deed.letters):
            wrong.append(f"{deed.name}: {answer.status_code}")
        elif is_refused and lines:
            wrong.append(f"{deed.name}: was recorded")
        elif not is_refused and deed.form and not lines and deed.name not in NOTHING_COMES_OF:
            wrong.append(f"{deed.name}: {answer.status_code}, not done")

    assert wrong == []
    assert len(deeds) > 400


@pytest.mark.parametrize("who", WHO)
def test_what_a_role_may_not_changes_no_row(who: str, full: Full) -> None:
    browser = hire(who)
    deeds = [each for each in every_deed(full) if each.form and not is_in(who, each.letters)]
    before = everything()

    for deed in deeds:
        getattr(browser, deed.method)(deed.url, deed.form)

    assert everything() == before


@pytest.mark.parametrize("who", WHO)
def test_a_form_without_its_pages_mark_does_nothing(who: str, full: Full) -> None:
    kept = hire(who)
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = kept.cookies
    deeds = [each for each in every_deed(full) if each.method == "post"]
    before = everything()

    statuses = {browser.post(each.url, each.form or {}).status_code for each in deeds}

    assert statuses == {403}
    assert everything() == before
