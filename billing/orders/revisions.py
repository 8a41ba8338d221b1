"""Book Stripe's answers in the order in which Stripe gave them.

What was given back of a payment may fall again, so an answer of Stripe's that is older than what
is booked must not be booked over it. Stripe can't be asked under a lock. Instead the order's
`revision` is read before Stripe is asked, and if it has changed by the time the answer is booked,
Stripe is asked again.
"""

from collections.abc import Callable
from typing import TypeVar

from django.db import transaction

from billing.exceptions import PaymentStateMoving
from billing.models import Order

Answer = TypeVar("Answer")

# How often Stripe is asked again because somebody else booked an answer meanwhile.
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
    order that the answer names, and Stripe is asked once more. No order means that there is none,
    and nothing was booked. Raises PaymentStateMoving, and whatever `read` raises.
    """
    for _ in range(MOST_READS):
        answer = read()
        if known is not None and (order := _book_if_current(known, answer, book)) is not None:
            return order, answer
        # Only now it is known which order this is, or somebody was faster: its revision must be
        # older than the answer.
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
