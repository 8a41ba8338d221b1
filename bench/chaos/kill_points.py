"""The named steps of the product at which a process can be told to die, and how it is told.

An order is a file that the victim looks at whenever it passes a named step. Who renames the file
carries it out: an order is for one death, however many threads or processes read it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

When = Literal["before", "after"]

WEB_POINTS = (
    "billing.wallet.journal:Journal.start",
    "billing.wallet.journal:Journal.end",
    "billing.wallet.journal:Journal.void",
    "billing.wallet.client:WalletClient.place",
    "billing.wallet.client:WalletClient.extend",
    "billing.wallet.client:WalletClient.settle",
    "billing.wallet.client:WalletClient.void",
    "proxy.upstreams.attempts:Attempts.send",
    "proxy.upstreams.client:UpstreamAnswer.read",
    "proxy.http.connection:ClientConnection.start",
    "proxy.serving.relay:end_whole",
    "proxy.serving.serve:end_broken",
    "proxy.serving.replay.recordings:Recordings.claim",
    "proxy.serving.replay.recordings:Recordings.keep",
    "proxy.serving.replay.recordings:Recordings.drop",
    "proxy.serving.replay.recordings:Recordings.wait_for",
)
# Steps that a web process passes only now and then; an order for one may find nobody.
RARE_WEB_POINTS = (
    "billing.wallet.journal:Journal.ask",
    "billing.wallet.journal:Journal.refused",
    "billing.stripe_inbox.events:receive_event",
    "billing.orders.checkout:start_checkout",
    "billing.orders.refunds:refund_to_customer",
)
WORKER_POINTS = (
    "billing.ledger.bookings:book",
    "billing.wallet.commands.shards:ack",
    "billing.upkeep.adoption:_adopt",
    "billing.wallet.commands.ending:reap",
    "billing.wallet.commands.ending:settle",
    "billing.wallet.commands.figures:push",
    "billing.wallet.commands.figures:debit",
    "billing.ledger.credits:post_credit",
    "billing.orders.fulfilment:fulfil",
    "billing.ledger.bookings:add_spending",
    "billing.orders.clawback:claw_back",
    "billing.orders.clawback:book_charge",
    "billing.notices.outbox:_send",
    "billing.stripe_api:create_refund",
    "billing.wallet.sync_client:SyncWalletClient.ask_many",
)
# Only passed after Redis was lost; a fault of Redis brings its own order.
RECOVERY_POINTS = (
    "billing.upkeep.recovery:_rebuild",
    "billing.wallet.journal:read_all",
    "billing.wallet.commands.restoring:holds",
    "billing.wallet.commands.restoring:open_fence",
    "billing.wallet.commands.loading:load",
)
POINTS = (*WEB_POINTS, *RARE_WEB_POINTS, *WORKER_POINTS, *RECOVERY_POINTS)


@dataclass(frozen=True, slots=True)
class Order:
    """Die before or after the `call`th time that a step is passed from now on."""

    order_id: str
    point: str
    when: When
    call: int

    def __str__(self) -> str:
        return f"{self.when} call {self.call} of {self.point}"


def order_path(folder: Path, role: str) -> Path:
    """Where a role's standing order lies."""
    return folder / f"{role}.order"


def fired_path(folder: Path, role: str, order_id: str) -> Path:
    """Where an order lies that was carried out."""
    return folder / f"{role}.{order_id}.fired"


def give(folder: Path, role: str, order: Order) -> None:
    """Put an order where its victim looks, in place of an earlier one."""
    making = folder / f".{role}.{order.order_id}"
    making.write_text(json.dumps(asdict(order)))
    making.replace(order_path(folder, role))


def withdraw(folder: Path, role: str) -> None:
    """Take a standing order back. Safe to repeat."""
    order_path(folder, role).unlink(missing_ok=True)


def has_fired(folder: Path, role: str, order: Order) -> bool:
    """Tell whether somebody has died of this order."""
    return fired_path(folder, role, order.order_id).exists()


class Watch:
    """A victim's eye on its orders."""

    def __init__(self, folder: Path, role: str) -> None:
        self._folder = folder
        self._role = role
        self._path = order_path(folder, role)
        self._read_ns = 0
        self._order: Order | None = None
        self._calls = 0

    def is_due(self, point: str, when: When) -> Order | None:
        """Note that a step is passed; return the order if this process must die of it, now."""
        self._look()
        order = self._order
        if order is None or (order.point, order.when) != (point, when):
            return None
        self._calls += 1
        return order if self._calls >= order.call and self._claim(order) else None

    def _look(self) -> None:
        try:
            written_ns = self._path.stat().st_mtime_ns
            if written_ns != self._read_ns:
                self._order = read_order(self._path.read_text())
                self._read_ns, self._calls = written_ns, 0
        except FileNotFoundError:
            self._order = None

    def _claim(self, order: Order) -> bool:
        """Take the order. False if another process of this role was faster, or it was replaced."""
        try:
            if read_order(self._path.read_text()) != order:
                return False
            self._path.rename(fired_path(self._folder, self._role, order.order_id))
        except FileNotFoundError:
            return False
        return True

    @classmethod
    def of(cls, folder: str, role: str) -> Self:
        return cls(Path(folder), role)


def read_order(text: str) -> Order:
    return Order(**json.loads(text))
