"""The kinds of orders: what happens at Stripe, stage by stage, and how it must end.

`events` says which webhooks each stage sends, and `ends` what a customer who spent nothing has
then: what can be spent, and whether the wallet is frozen.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.billing.payments.film import Film, shoot
from tests.stripe_sandbox import DECLINES, Sandbox

PAID = "checkout.session.completed"
REFUND = ("refund.created", "charge.refunded")
DISPUTE = ("charge.dispute.created", "charge.dispute.funds_withdrawn")
WON = ("charge.dispute.closed", "charge.dispute.funds_reinstated")
LOST = ("charge.dispute.closed",)
WARNING = "radar.early_fraud_warning.created"


@dataclass(frozen=True)
class Story:
    """One kind of order."""

    name: str
    steps: tuple[Callable[[Sandbox, Film], None], ...]
    events: tuple[tuple[str, ...], ...]
    status: str
    entitled: int
    is_frozen: bool = False
    # Whether the customer spends some of it, at any time: that doubles what there is to visit.
    spends: bool = False

    def shoot(self, sandbox: Sandbox, film: Film) -> Film:
        """Let it happen at the emulator, and record each stage."""
        shoot(sandbox, film)
        for step in self.steps:
            step(sandbox, film)
            shoot(sandbox, film)
        return film


def pay(sandbox: Sandbox, film: Film) -> None:
    assert sandbox.pay(film.order.stripe_session_id) == 200


def pay_by_bank(sandbox: Sandbox, film: Film) -> None:
    sandbox.control(f"checkout/{film.order.stripe_session_id}/pay", method="bank")


def clear(how: str) -> Callable[[Sandbox, Film], None]:
    def step(sandbox: Sandbox, film: Film) -> None:
        intent = sandbox.session(film.order.stripe_session_id).payment_intent
        sandbox.control(f"payment_intents/{intent}/{how}")

    return step


def decline(sandbox: Sandbox, film: Film) -> None:
    assert sandbox.pay(film.order.stripe_session_id, card=DECLINES) == 402


def expire(sandbox: Sandbox, film: Film) -> None:
    sandbox.expire(film.order.stripe_session_id)


def refund(amount_cents: int) -> Callable[[Sandbox, Film], None]:
    def step(sandbox: Sandbox, film: Film) -> None:
        sandbox.control(f"charges/{film.charge_id}/refund", amount=amount_cents)

    return step


def fail_refund(sandbox: Sandbox, film: Film) -> None:
    sandbox.control(f"refunds/{sandbox.refund_ids(film.charge_id)[-1]}/fail")


def dispute(amount_cents: int = 900) -> Callable[[Sandbox, Film], None]:
    def step(sandbox: Sandbox, film: Film) -> None:
        sandbox.dispute(film.charge_id, amount=amount_cents)

    return step


def decide(how: str) -> Callable[[Sandbox, Film], None]:
    def step(sandbox: Sandbox, film: Film) -> None:
        found = sandbox.client.v1.disputes.list({"charge": film.charge_id, "limit": 1})
        sandbox.control(f"disputes/{found.data[0].id}/{how}")

    return step


def warn(sandbox: Sandbox, film: Film) -> None:
    sandbox.control(f"charges/{film.charge_id}/warn")


THIRDS = (refund(300), refund(300), refund(300))
FAILS = ("refund.failed", "refund.updated")
CLEARS = "checkout.session.async_payment_succeeded"
BOUNCES = "checkout.session.async_payment_failed"
EXPIRES = "checkout.session.expired"

# fmt: off
STORIES = [
    Story("paid at once", (pay,), ((PAID,),), "fulfilled", 1_000_000),
    Story("paid by a bank that takes its time", (pay_by_bank, clear("succeed")),
          ((PAID,), (CLEARS,)), "fulfilled", 1_000_000),
    Story("refused by a bank that takes its time", (pay_by_bank, clear("fail")),
          ((PAID,), (BOUNCES,)), "failed", 0),
    Story("expired", (expire,), ((EXPIRES,),), "expired", 0),
    Story("declined, then expired", (decline, expire), ((), (EXPIRES,)), "expired", 0),
    Story("declined, then paid", (decline, pay), ((), (PAID,)), "fulfilled", 1_000_000),
    Story("refunded in thirds", (pay, *THIRDS),
          ((PAID,), REFUND, REFUND, REFUND), "fulfilled", 0),
    Story("refunded, and the refund failed", (pay, refund(450), fail_refund),
          ((PAID,), REFUND, FAILS), "fulfilled", 1_000_000, spends=True),
    Story("refunded, failed, refunded again", (pay, refund(450), fail_refund, refund(300)),
          ((PAID,), REFUND, FAILS, REFUND), "fulfilled", 666_667),
    Story("disputed and won", (pay, dispute(), decide("win")),
          ((PAID,), DISPUTE, WON), "fulfilled", 1_000_000, spends=True),
    Story("disputed and lost", (pay, dispute(), decide("lose")),
          ((PAID,), DISPUTE, LOST), "fulfilled", 0, is_frozen=True, spends=True),
    Story("refunded, disputed and won", (pay, refund(300), dispute(600), decide("win")),
          ((PAID,), REFUND, DISPUTE, WON), "fulfilled", 666_667),
    Story("refunded, disputed and lost", (pay, refund(300), dispute(600), decide("lose")),
          ((PAID,), REFUND, DISPUTE, LOST), "fulfilled", 0, is_frozen=True),
    Story("disputed, won, then refunded", (pay, dispute(), decide("win"), refund(300)),
          ((PAID,), DISPUTE, WON, REFUND), "fulfilled", 666_667),
    Story("warned of, disputed and won", (pay, warn, dispute(), decide("win")),
          ((PAID,), (WARNING,), DISPUTE, WON), "fulfilled", 1_000_000, is_frozen=True),
]
# fmt: on
