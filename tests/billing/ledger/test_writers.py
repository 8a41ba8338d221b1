"""Credits and bookings write the ledger's entries, lots and balances, and nobody else does."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from billing.ledger.debits import ask_debit
from billing.ledger.debts import pay_debts
from billing.ledger.expiry import expire_lots
from billing.ledger.references import OrderStep
from billing.ledger.wallets import adjust_credits, grant_credits, wallet_of
from billing.models import Debit, LedgerEntry, Lot, Wallet
from tests.sources import product_files
from tests.till import Till

# Makes whole histories at once, where nobody buys: `make_history` refuses elsewhere.
MAKER = "billing/management/history.py"
WRITERS = {"billing/ledger/credits.py", "billing/ledger/bookings.py", MAKER}
BOOKS = {"LedgerEntry", "Lot"}
BALANCES = {
    "posted_credits",
    "credited_credits",
    "debt_credits",
    "remaining_credits",
    "granted_credits",
    "balance_credits",
}
# The names under which Django gives a wallet's entries and lots, and an entry's lot.
RELATED = {"entries", "lots", "lot"}
# Functions that write rows of any model.
OF_MANY_ROWS = {"copy_in", "set_values", "add_amounts"}
WRITING = re.compile(
    r"a?(create|get_or_create|update_or_create|bulk_create|update|bulk_update|delete|save"
    r"|_raw_delete|set)"
)
SQL = re.compile(
    r"(insert\s+into|update|delete\s+from|truncate|copy|merge\s+into)\s+(only\s+)?"
    r"[\"']?billing_(ledgerentry|lot|wallet)\b",
    re.IGNORECASE,
)


class Writes(ast.NodeVisitor):
    """Collects the lines of a module that could write entries, lots or balances."""

    def __init__(self) -> None:
        self.lines: list[int] = []

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load) and node.attr in BALANCES:
            self.lines.append(node.lineno)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if self._is_of_books(node) or self._is_of_balances(node):
            self.lines.append(node.lineno)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and SQL.search(node.value):
            self.lines.append(node.lineno)

    def _is_of_books(self, node: ast.Call) -> bool:
        """Tell whether an entry or a lot is made, changed or deleted."""
        if isinstance(node.func, ast.Name) and node.func.id in OF_MANY_ROWS:
            given = {name for argument in node.args for name in names_of(argument)}
            return bool(given & (BOOKS | RELATED))
        if isinstance(node.func, ast.Name):
            return node.func.id in BOOKS
        if not isinstance(node.func, ast.Attribute) or not WRITING.fullmatch(node.func.attr):
            return False
        names = set(names_of(node.func.value))
        return bool(names & (BOOKS | RELATED)) or any("entry" in name for name in names)

    def _is_of_balances(self, node: ast.Call) -> bool:
        """Tell whether a figure of a wallet or a lot is written."""
        name = names_of(node.func)[0] if names_of(node.func) else ""
        if name not in {"Wallet", "setattr", *OF_MANY_ROWS} and not WRITING.fullmatch(name):
            return False
        given = {keyword.arg for keyword in node.keywords} | {
            each.value
            for argument in (*node.args, *(keyword.value for keyword in node.keywords))
            for each in ast.walk(argument)
            if isinstance(each, ast.Constant)
        }
        # All columns are written if none is named, and with what was read a while ago.
        is_blind = name in {"save", "asave"} and not node.args and not node.keywords
        owner = " ".join(names_of(node.func)[1:])
        return bool(given & BALANCES) or (is_blind and "wallet" in owner.lower())


def names_of(node: ast.AST) -> list[str]:
    """Return the names along a chain of attributes and calls, from its end to its beginning."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr, *names_of(node.value)]
    if isinstance(node, ast.Call):
        return names_of(node.func)
    if isinstance(node, ast.Subscript):
        return names_of(node.value)
    return []


def writes_of(source: str) -> list[int]:
    found = Writes()
    found.visit(ast.parse(source))
    return found.lines


def test_two_modules_write_the_ledger() -> None:
    writing = {
        f"{name}:{line}"
        for name, text in product_files()
        if name.endswith(".py")
        for line in writes_of(text)
    }

    assert {each for each in writing if each.partition(":")[0] not in WRITERS} == set()
    assert {each.partition(":")[0] for each in writing} == WRITERS


@pytest.mark.parametrize(
    "line",
    [
        "LedgerEntry.objects.create(wallet=wallet)",
        "LedgerEntry(wallet=wallet).save()",
        "models.LedgerEntry.objects.bulk_create(entries)",
        "LedgerEntry.objects.filter(pk=1).update(reason='')",
        "LedgerEntry.objects.filter(pk=1).delete()",
        "entry.save()",
        "wallet.entries.create(kind='grant')",
        "wallet.lots.all().update(expires_at=None)",
        "Lot.objects.get_or_create(entry=entry)",
        "await Lot.objects.aupdate_or_create(entry=entry)",
        "order.entry.lot.delete()",
        "lot.remaining_credits -= 1",
        "wallet.posted_credits = 5",
        "del wallet.debt_credits",
        "Wallet.objects.filter(pk=1).update(posted_credits=F('posted_credits') + 1)",
        "Wallet.objects.update_or_create(user=user, defaults={'debt_credits': 0})",
        "Wallet(user=user, credited_credits=5)",
        "wallet.save()",
        "self.wallet.save()",
        "wallet.save(update_fields=['state', 'posted_credits'])",
        "Wallet.objects.bulk_update(wallets, ['debt_credits'])",
        "setattr(wallet, 'debt_credits', 0)",
        "copy_in(batch.entries)",
        "copy_in([LedgerEntry(wallet=wallet)])",
        "set_values(rows, ['remaining_credits'])",
        "add_amounts(model, ['id'], amounts, to='posted_credits')",
        "cursor.copy('COPY \"billing_lot\" (id) FROM STDIN')",
        "cursor.execute('UPDATE billing_wallet SET debt_credits = 0')",
        "cursor.execute('insert into \"billing_lot\" values (1)')",
        "cursor.execute(f'DELETE FROM billing_ledgerentry WHERE id = {pk}')",
    ],
)
def test_the_scan_sees_every_kind_of_write(line: str) -> None:
    source = f"async def f():\n    {line}\n"

    assert writes_of(source) == [2] * len(writes_of(source))
    assert writes_of(source)


@pytest.mark.parametrize(
    "line",
    [
        "Lot.objects.filter(remaining_credits__gt=0).order_by('pk')",
        "balance = Balance(posted_credits=wallet.posted_credits, debt_credits=0)",
        "Wallet.objects.get_or_create(user=user)",
        "wallet.save(update_fields=['state', 'frozen_reason'])",
        "cursor.execute('SELECT posted_credits FROM billing_wallet FOR UPDATE')",
    ],
)
def test_the_scan_lets_readers_read(line: str) -> None:
    assert writes_of(line) == []


class Watch:
    """Notes every statement that writes the books, and which of the two writers asked for it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        statement = str(sql)
        is_written = SQL.search(statement) and (
            "billing_wallet" not in statement or any(name in statement for name in BALANCES)
        )
        # A wallet is made with nothing in it.
        if is_written and not statement.startswith('INSERT INTO "billing_wallet"'):
            self.seen.append((statement[:60], self._find_writer()))
        return execute(sql, params, many, context)

    def _find_writer(self) -> str:
        files = (frame.filename for frame in inspect.stack(context=0))
        return next((w for name in files for w in WRITERS if name.endswith(w)), "somebody else")


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    with connection.execute_wrapper(watch):
        yield watch


@pytest.mark.django_db(transaction=True)
def test_whatever_moves_credits_is_written_by_the_two(till: Till, watch: Watch) -> None:
    till.grant(1_000)
    soon = timezone.now() + timedelta(milliseconds=1)
    grant_credits(wallet_of(till.user), credits=200, reason="Short", expires_at=soon)
    adjust_credits(till.wallet, amount_credits=-50, actor=till.user, reason="Too much")
    till.place("r1", 300)
    till.settle("r1", 120)
    till.drain()
    expire_lots()
    clawback = Debit(
        wallet=till.wallet,
        kind="clawback",
        reference=str(OrderStep(uuid4(), 1)),
        amount_credits=2_000,
    )
    ask_debit(clawback)
    till.drain()
    till.grant(500)
    pay_debts()
    till.drain()

    kinds = set(LedgerEntry.objects.values_list("kind", flat=True))
    assert kinds == {"grant", "usage", "clawback", "expiry", "adjustment"}
    assert {writer for _, writer in watch.seen} == WRITERS - {MAKER}
    written = {statement.split('"')[1] for statement, _ in watch.seen}
    assert written == {"billing_ledgerentry", "billing_lot", "billing_wallet"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("UPDATE billing_ledgerentry SET reason = 'Other'", "append-only"),
        ("UPDATE billing_ledgerentry SET amount_credits = amount_credits + 1", "append-only"),
        ("DELETE FROM billing_ledgerentry", "append-only"),
        ("UPDATE billing_lot SET remaining_credits = -1", "lot_keeps_between_0_and_granted"),
        ("UPDATE billing_lot SET remaining_credits = 101", "lot_keeps_between_0_and_granted"),
        ("UPDATE billing_lot SET granted_credits = 0, remaining_credits = 0", "lot_has_credits"),
        ("UPDATE billing_wallet SET posted_credits = -1", "posted_is_not_below_0"),
        ("UPDATE billing_wallet SET posted_credits = 101", "posted_is_at_most_credited"),
        ("UPDATE billing_wallet SET debt_credits = -1", "debt_is_not_below_0"),
    ],
)
def test_the_database_refuses_what_no_writer_would_write(
    till: Till, statement: str, refusal: str
) -> None:
    till.grant(100)

    with pytest.raises(DatabaseError, match=refusal), transaction.atomic():
        connection.cursor().execute(statement)

    assert LedgerEntry.objects.get().amount_credits == 100
    assert Lot.objects.get().remaining_credits == 100
    assert Wallet.objects.get(pk=till.wallet.pk).posted_credits == 100


@pytest.mark.django_db(transaction=True)
def test_one_cause_is_posted_once_whoever_posts_it(till: Till) -> None:
    entry = till.grant(100)
    entry.pk = None
    entry._state.adding = True

    with pytest.raises(DatabaseError, match="entry_is_posted_once"), transaction.atomic():
        entry.save()
