"""Book Stripe's answers in the order in which Stripe gave them.

The amount given back of a payment may fall again, so an older answer must not be booked over a
newer one. Stripe can't be asked under a lock. Instead the order's `revision` is read before Stripe
is asked, and if it has changed by the time the answer is booked, Stripe is asked again.
"""

from collections.abc import Callable
from typing import TypeVar

from django.db import transaction

from billing.exceptions import PaymentStateMoving
from billing.models import Order

Answer = TypeVar("Answer")

# Stripe is asked at most this often, when other processes keep booking answers in between.
MOST_READS = 8


def book_answer(
    known: Order | None,
    *,
    read: Callable[[], Answer],
    find: Callable[[Answer], Order | None],
    book: Callable[[Order, Answer], None],
) -> tuple[Order | None, Answer]:
    """Ask Stripe and book the answer in its order, locked, in one transaction. Returns both.

    `known` is the order that the answer is expected to be about. Without one, `find` looks for the
    order that the answer names, and Stripe is asked once more. If `find` finds no order, nothing is
    booked and the order returned is None. Raises PaymentStateMoving, and what `read` raises.
    """
    for _ in range(MOST_READS):
        answer = read()
        if known is not None and (order := _book_if_current(known, answer, book)) is not None:
            return order, answer
        # The order was not known before, or another process was faster. Its revision must be read
        # before the answer that is booked.
        known = find(answer)
        if known is None:
            return None, answer
    raise PaymentStateMoving("The payment's state keeps changing; it is looked at again later.")


@transaction.atomic(durable=True)
def _book_if_current(
    known: Order, answer: Answer, book: Callable[[Order, Answer], None]
) -> Order | None:
    """Book an answer. None if another was booked since the order's revision was read."""
    order = Order.objects.select_for_update().get(pk=known.pk)
    if order.revision != known.revision:
        return None
    book(order, answer)
    return order
