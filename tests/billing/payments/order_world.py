"""One order in a world that can be put back: real PostgreSQL and Redis, and Stripe as a film.

Everything happens inside transactions that are rolled back to savepoints. Redis is brought in line
with PostgreSQL before each of the worker's turns, so nothing in it needs to be put back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from uuid import uuid4

from django.db import connection, transaction
from django.utils import timezone

from billing.audit import queries as audit_queries
from billing.ledger.debits import decide_open
from billing.ledger.pushes import push_wallets
from billing.ledger.references import DebitRow
from billing.models import Debit, LedgerEntry, Order, StripeEvent, Wallet
from billing.orders.checkout_payments import fulfil_checkout
from billing.stripe_inbox.handlers import HANDLERS
from billing.stripe_inbox.open_orders import check_open_orders
from billing.upkeep import drain
from billing.wallet import keys
from tests.billing.payments.film import WARNING_ID, Film, Projector
from tests.billing.payments.stories import PAID, Story
from tests.till import Till

SPENT = 400_000
SESSION_EVENTS = "checkout.session."
# One round trip for all rows. References name orders and debits, which are the same in every run.
_ROWS = {
    "order": "status, paid_cents, refunded_cents, disputed_cents, clawed_back_credits, "
    "reinstated_credits, stripe_charge_id, stripe_payment_intent_id, review_reason",
    "ledgerentry": "kind, reference, amount_credits",
    "lot": "is_promotional, granted_credits, remaining_credits",
    "debit": "kind, reference, amount_credits, taken_credits, lot_id IS NULL",
    "wallet": "posted_credits, credited_credits, debt_credits, state, frozen_reason",
    "freeze": "kind, reference, lifted_at IS NULL",
    "dispute": "stripe_dispute_id, amount_cents, status",
    "refund": "status, amount_cents, stripe_refund_id, debit_id IS NULL",
    "inboxitem": "kind, reference, resolved_at IS NULL",
}
# What was spent counts as a sum: each run names its requests anew.
USED = "(SELECT SUM(amount_credits)::text FROM billing_ledgerentry WHERE kind = 'usage')"
DIGEST = "SELECT concat_ws('|', {}, {})".format(  # constants of this module
    USED,
    ", ".join(
        f"(SELECT string_agg(row({fields})::text, ',' ORDER BY row({fields})::text) "  # noqa: S608
        f"FROM billing_{table} WHERE {'kind' if table == 'ledgerentry' else 'NULL'} "
        f"IS DISTINCT FROM 'usage')"
        for table, fields in _ROWS.items()
    ),
)


@contextmanager
def put_back() -> Iterator[None]:
    """Undo whatever the block does to PostgreSQL."""
    block = transaction.atomic()
    # The product refuses to call Stripe inside a transaction of its own, and a test's is none.
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)


@dataclass
class OrderWorld:
    """An order, its customer's wallet, and all that can happen to them next."""

    story: Story
    film: Film
    projector: Projector
    till: Till

    def letters(self, stage: int) -> dict[str, int]:
        """Return the different ways to hear of what happened up to a stage, and how many events
        each stands for: those that make us look at the same object are one.
        """
        found: dict[str, int] = {}
        for kinds in self.story.events[:stage]:
            for kind in kinds:
                found[self._letter(kind)] = found.get(self._letter(kind), 0) + 1
        return found

    def _letter(self, kind: str) -> str:
        if kind.startswith(SESSION_EVENTS):
            return PAID
        return kind if kind.startswith("radar.") else "charge.refunded"

    def hear(self, kind: str) -> None:
        """Process an event of a kind, as the sweep does once it is stored."""
        HANDLERS[kind](self.event(kind))

    def event(self, kind: str) -> StripeEvent:
        object_id = WARNING_ID if kind.startswith("radar.") else self.film.charge_id
        if kind.startswith(SESSION_EVENTS):
            object_id = str(self.film.order.stripe_session_id)
        subject = {"id": object_id, "charge": self.film.charge_id}
        return StripeEvent(kind=kind, object_id=object_id, payload={"data": {"object": subject}})

    def return_page(self) -> None:
        fulfil_checkout(str(self.film.order.stripe_session_id))

    def sweep(self) -> None:
        Order.objects.update(next_check_at=timezone.now())
        check_open_orders()

    def work(self) -> None:
        """A turn of the worker: Redis learns of the wallet, decides the debits; they are booked."""
        wallet_id = self.till.wallet.pk
        # What Redis decided in a past that was put back, it has never heard of.
        undecided = Debit.objects.filter(booked_at=None)
        forgotten = [keys.hold(wallet_id, str(DebitRow(debit.pk))) for debit in undecided]
        self.till.client.redis.delete(keys.wallet(wallet_id), *forgotten)
        push_wallets([wallet_id])
        decide_open()
        drain.drain()

    def spend(self) -> bool:
        """Let the customer spend what is there, up to a fixed sum. False if nothing is."""
        self.work()
        wallet = Wallet.objects.get(pk=self.till.wallet.pk)
        credits = min(SPENT, wallet.posted_credits)
        if not credits or wallet.debt_credits or wallet.state != Wallet.State.ACTIVE:
            return False
        name = uuid4().hex
        self.till.place(name, credits)
        self.till.settle(name, credits)
        drain.drain()
        return True

    def catch_up(self) -> None:
        """Do what ends everything, whatever was lost: the sweeps, the missed events, the worker."""
        self.sweep()
        for letter in self.letters(len(self.story.events)):
            self.hear(letter)
        self.work()

    def check_end(self) -> None:
        """Compare with how the story must end, and let the books be audited."""
        wallet = Wallet.objects.get(pk=self.till.wallet.pk)
        used = LedgerEntry.objects.filter(wallet=wallet, kind="usage")
        spent = -sum(used.values_list("amount_credits", flat=True))
        net = self.story.entitled - spent
        assert Order.objects.get().status == self.story.status
        figures = (wallet.posted_credits, wallet.debt_credits)
        assert figures == (max(net, 0), max(-net, 0)), self.digest()
        assert (wallet.state == Wallet.State.FROZEN) is self.story.is_frozen
        assert broken_books() == []

    def digest(self) -> str:
        """Return all that decides what happens next. Ids, instants and counters of reads don't."""
        with connection.cursor() as cursor:
            cursor.execute(DIGEST)
            return str(cursor.fetchone()[0])


@lru_cache(maxsize=1)
def _queries() -> list[str]:
    return [query for _, query in audit_queries.QUERIES]


def broken_books() -> list[object]:
    """Return what the audit's questions to PostgreSQL find."""
    found: list[object] = []
    with connection.cursor() as cursor:
        for query in _queries():
            cursor.execute(query)
            found += cursor.fetchall()
    return found
