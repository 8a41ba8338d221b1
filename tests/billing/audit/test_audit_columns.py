"""The audit notices money that was altered by hand: every column, or the list says why not."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import F
from pytest_django import Settings

from accounts.models import User
from billing.audit.books import Finding, audit
from billing.models import (
    CodeBatch,
    LedgerEntry,
    Lot,
    ModelPrice,
    Order,
    UsageRecord,
    Wallet,
)
from billing.wallet import keys
from tests.billing.audit.eventful import let_all_happen
from tests.till import Till

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

Look = Callable[[], list[Finding]]

MONEY = re.compile(r"(^|_)(credits|cents|tokens|millicredits|nanos|micros)$")
ALSO = {"Debit.booked_at", "Lot.expires_at", "Wallet.version", "Wallet.state"}
IS_TERMS = "what is sold or agreed to next; an order has a snapshot of its own"
IS_STRIPES = "Stripe has it: audit_money --stripe compares it with the order's charge"
UNNOTICED = {
    "AmountOffer.least_cents": IS_TERMS,
    "AmountOffer.most_cents": IS_TERMS,
    "AmountStep.from_cents": IS_TERMS,
    "Approval.worth_credits": "what was asked for; what came of it is in the ledger",
    "AutoTopUp.monthly_ceiling_cents": IS_TERMS,
    "AutoTopUp.threshold_credits": IS_TERMS,
    "Debit.snapshot_credited_credits": "what an expiry saw; what it took is in the ledger",
    "Debit.snapshot_posted_credits": "what an expiry saw; what it took is in the ledger",
    "Dispute.amount_cents": IS_STRIPES,
    "KeyWriteOff.credits": "counted for an alarm; receipts have what each request lost",
    "NotificationSettings.low_balance_credits": "when to send a mail, not money",
    "Pack.credits": IS_TERMS,
    "Pack.price_cents": IS_TERMS,
    "PackPrice.price_cents": IS_TERMS,
    "PublicModel.context_tokens": "a limit, not money",
    "PublicModel.default_max_tokens": "a limit, not money",
    "Refund.amount_cents": f"once it is not open any more: {IS_STRIPES}",
    "TopUpConsent.amount_cents": IS_TERMS,
    "TopUpConsent.credits": IS_TERMS,
    "TopUpConsent.monthly_ceiling_cents": IS_TERMS,
    "TopUpConsent.threshold_credits": IS_TERMS,
    "Webhook.low_balance_credits": "when to send a delivery, not money",
    "UsageRecord.held_credits": "the hold is gone; it only bounds what was not reported",
}
# Rows of which a column can't be noticed although others of the table are.
EXEMPT = {
    "Lot.expires_at": (
        "staff and welcome credits: their terms are written down nowhere else",
        models.Q(entry__kind="grant") & ~models.Q(entry__reference__startswith="code:"),
    ),
    "Debit.amount_credits": (
        "what an expiry or adjustment asked for; what it took is in the ledger",
        models.Q(kind__in=["expiry", "adjustment"]) | models.Q(reference__startswith="owed:"),
    ),
}


def columns() -> list[tuple[type[models.Model], str]]:
    """Return every column that money is in, of all tables of the shop.

    What is told by currency has a test of its own.
    """
    return [
        (model, field.name)
        for model in apps.get_app_config("billing").get_models()
        for field in model._meta.concrete_fields
        if not isinstance(field, models.JSONField)
        and (MONEY.search(field.name) or f"{model.__name__}.{field.name}" in ALSO)
    ]


@pytest.fixture
def books(till: Till, bob: User, settings: Settings) -> Till:
    """Two wallets to which all has happened that moves credits."""
    settings.WELCOME_CREDITS, settings.WELCOME_CREDIT_DAYS = 700, 14
    let_all_happen(till, bob)
    assert audit(pause_s=0) == []
    return till


@contextmanager
def by_hand() -> Iterator[None]:
    """Let somebody with the database's password write what they like; it is undone."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint"
            " WHERE contype = 'c' AND conrelid::regclass::text LIKE 'billing_%'"
        )
        for table, name in cursor.fetchall():
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        yield
        transaction.set_rollback(True)


def audit_by_shard() -> list[Finding]:
    """Audit as the hours do, in those shards in which there is a wallet, and in the first."""
    wallets = Wallet.objects.values_list("pk", flat=True)
    due = {0, *map(keys.shard_of, wallets)}
    return [finding for shard in sorted(due) for finding in audit(shard=shard, pause_s=0)]


def is_noticed(model: type[models.Model], name: str, pk: int, look: Look) -> bool:
    field = model._meta.get_field(name)
    row = model._base_manager.filter(pk=pk)
    with transaction.atomic():
        if isinstance(field, models.DateTimeField):
            row.update(**{name: F(name) + timedelta(days=1)})
        elif isinstance(field, models.CharField):
            row.update(**{name: "altered"})
        else:
            row.update(**{name: F(name) + step_of(name)})
        findings = look()
        transaction.set_rollback(True)
    return bool(findings)


def step_of(name: str) -> int:
    """Return the least that is worth a credit or more in any of the rows."""
    return {"millicredits": 1_000, "cents": 10}.get(name.rpartition("_")[2], 1)


@pytest.mark.parametrize("look", [partial(audit, pause_s=0), audit_by_shard], ids=["all", "shards"])
def test_every_column_of_money_is_watched_or_listed(books: Till, look: Look) -> None:
    unwatched = {}
    with by_hand():
        for model, name in columns():
            title = f"{model.__name__}.{name}"
            exempt = EXEMPT[title][1] if title in EXEMPT else models.Q(pk=None)
            rows = model._base_manager.exclude(exempt).exclude(**{name: None})
            if model is ModelPrice:
                # Nothing was served at the others.
                rows = rows.filter(pk=books.price.pk)
            pks = rows.values_list("pk", flat=True)
            missed = [pk for pk in pks if not is_noticed(model, name, pk, look)]
            if missed or (not rows and title not in EXEMPT):
                unwatched[title] = missed

    extra = {t: p for t, p in unwatched.items() if t not in UNNOTICED}
    assert (extra, UNNOTICED.keys() - unwatched.keys()) == ({}, set())


BY_HAND: dict[str, tuple[str, str, dict[str, Any]]] = {
    "wallet posted": ("wallet {wallet}", "wallet", {"posted_credits": F("posted_credits") + 1}),
    "wallet debt": ("wallet {wallet}", "wallet", {"debt_credits": F("debt_credits") + 1}),
    "ledger amount": (
        "wallet {wallet}",
        "ledgerentry",
        {"amount_credits": F("amount_credits") - 1},
    ),
    "debit taken": ("debit {debit}", "debit", {"taken_credits": F("taken_credits") - 1}),
    "debit not booked": ("debit {debit}", "debit", {"booked_at": None}),
    "debit booked later": (
        "debit {debit}",
        "debit",
        {"booked_at": F("booked_at") + timedelta(days=1)},
    ),
    "lot granted": ("lot {lot}", "lot", {"granted_credits": F("granted_credits") + 1}),
    "lot expiry": ("lot {lot}", "lot", {"expires_at": F("expires_at") + timedelta(days=1)}),
    "receipt charge": (
        "request left",
        "usagerecord",
        {
            "charged_credits": F("charged_credits") - 1,
            "write_off_credits": F("write_off_credits") + 1,
        },
    ),
    "receipt target": (
        "request left",
        "usagerecord",
        {
            "target_credits": F("target_credits") + 1,
            "write_off_credits": F("write_off_credits") + 1,
        },
    ),
    "receipt tokens": ("request left", "usagerecord", {"prompt_tokens": F("prompt_tokens") + 1}),
    "order credits": ("order {order}", "order", {"credits": F("credits") + 1}),
    "order refund": (
        "order {order}",
        "order",
        {"refunded_cents": F("refunded_cents") + 1},
    ),
    "receipt income": ("wallet {wallet}", "usagerecord", {"income_micros": {"usd": 1}}),
    "what a debit took": ("wallet {wallet}", "debited", {"sold_for": {"eur": 1}}),
    "order price": ("order {order}", "order", {"amount_cents": F("amount_cents") + 1}),
    "code": ("ledger entry {code}", "codebatch", {"credits": F("credits") + 1}),
}


@pytest.mark.parametrize("altered", BY_HAND)
def test_the_command_fails_and_names_whom_an_altered_row_concerns(
    books: Till, altered: str
) -> None:
    order = Order.objects.filter(buyer=books.user).earliest("pk")
    lot = order_lot(order)
    rows: dict[str, Any] = {
        "wallet": books.wallet.pk,
        "ledgerentry": lot.entry_id,
        "debit": books.wallet.debits.filter(kind="clawback").earliest("pk").pk,
        "debited": LedgerEntry.objects.filter(kind="clawback").earliest("pk").pk,
        "lot": lot.pk,
        "usagerecord": UsageRecord.objects.get(request_id="left").pk,
        "order": order.pk,
        "codebatch": CodeBatch.objects.get().pk,
    }
    code = LedgerEntry.objects.get(reference__startswith="code:")
    subject, table, values = BY_HAND[altered]
    name = subject.format(**{**rows, "order": order.public_id, "code": code.pk})
    errors = StringIO()

    with by_hand():
        model = "ledgerentry" if table == "debited" else table
        apps.get_model("billing", model)._base_manager.filter(pk=rows[table]).update(**values)
        with pytest.raises(SystemExit) as stopped:
            call_command("audit_money", stderr=errors)

    assert stopped.value.code == 1
    assert f": {name}: " in errors.getvalue()


def order_lot(order: Order) -> Lot:
    return Lot.objects.get(entry__kind="purchase", entry__reference=str(order.public_id))


@pytest.mark.parametrize("figure", ["base", "pend", "held", "open", "debt", "credited"])
def test_the_command_fails_and_names_the_wallet_that_redis_has_wrong(
    books: Till, figure: str
) -> None:
    books.client.redis.hincrby(keys.wallet(books.wallet.pk), figure, 1)
    errors = StringIO()

    with pytest.raises(SystemExit) as stopped:
        call_command("audit_money", stderr=errors)

    assert stopped.value.code == 1
    assert f"wallet {books.wallet.pk}: " in errors.getvalue()


def test_the_command_fails_and_names_a_request_without_a_receipt(books: Till) -> None:
    errors = StringIO()

    with by_hand():
        UsageRecord.objects.filter(request_id="left").delete()
        with pytest.raises(SystemExit) as stopped:
            call_command("audit_money", stderr=errors)

    assert stopped.value.code == 1
    assert ": request left: " in errors.getvalue()


def test_the_command_fails_at_rest_while_something_is_under_way(books: Till) -> None:
    books.grant(1_000)
    books.place("running", 10)
    call_command("audit_money", stdout=StringIO())
    errors = StringIO()

    with pytest.raises(SystemExit) as stopped:
        call_command("audit_money", "--at-rest", stderr=errors)

    assert stopped.value.code == 1
    assert "1 holds are open" in errors.getvalue()
