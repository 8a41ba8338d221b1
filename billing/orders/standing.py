"""What an order's badge, its page and the return page say: one table for all three.

The texts have placeholders: {packs}, {dashboard}, {top_up} and {support} are addresses; {credits},
{refunded}, {disputed} and {taken_back} are figures of the order; {expires} is an instant;
{went_back} is a sentence, or empty if nothing went back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from billing.models import Order

Status = Order.Status


@dataclass(frozen=True, slots=True)
class Standing:
    """What a customer reads about an order, and whether Stripe can be asked again."""

    badge: str
    # The badge's CSS class beside `badge`; empty if it is grey.
    tone: str
    title: str
    words: str
    may_ask_again: bool = False
    # It can still be paid on Stripe's page.
    has_page: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that the texts depend on."""

    order: Order
    now: datetime
    # These two matter on the order's own page alone.
    is_disputed: bool = False
    is_refund_refused: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """A paragraph that is added if its condition holds."""

    is_so: Callable[[Facts], object]
    words: str


EXPIRED = Standing(
    _("Expired"),
    "",
    _("This order has expired"),
    _(
        "This order wasn't paid in time and has expired. Nothing was charged. "
        'You can <a href="{packs}">order again</a>.'
    ),
    may_ask_again=True,
)
STANDINGS = {
    Status.FULFILLED: Standing(
        _("Paid"),
        "badge-good",
        _("Thank you"),
        _("Paid, and {credits} credits were added to your balance."),
    ),
    Status.PENDING: Standing(
        _("Payment on its way"),
        "badge-warn",
        _("Your payment is on its way"),
        _(
            "You have finished on the payment page, and the bank is still at work. With some ways "
            "to pay that takes several days. The credits are added by themselves as soon as the "
            "money is confirmed; you don't need to do anything."
        ),
        may_ask_again=True,
    ),
    Status.CLOSED: Standing(
        _("Closed"),
        "",
        _("This order was closed"),
        _(
            "Your payment didn't match this order, and a person closed it without adding credits."
            '{went_back} Write to <a href="mailto:{support}">{support}</a> if anything is unclear.'
        ),
    ),
    Status.REVIEW: Standing(
        _("Under review"),
        "badge-warn",
        _("We are looking at your payment"),
        _(
            "Your payment arrived, but it doesn't match this order, so a person looks at it before "
            "anything is credited. You don't need to do anything; write to "
            '<a href="mailto:{support}">{support}</a> if it takes longer than a day.'
        ),
    ),
    Status.FAILED: Standing(
        _("Payment failed"),
        "badge-bad",
        _("The payment didn't go through"),
        _(
            "The payment didn't go through, and nothing was credited. "
            'You can <a href="{packs}">order again</a> and pay another way.'
        ),
        may_ask_again=True,
    ),
    Status.EXPIRED: EXPIRED,
    Status.OPEN: Standing(
        _("Waiting for payment"),
        "",
        _("Waiting for your payment"),
        _(
            "We are waiting for the payment. As soon as it arrives, the credits are added by "
            "themselves, whether or not this page is open. The order stays open until {expires}"
            " UTC."
        ),
        may_ask_again=True,
        has_page=True,
    ),
}
# A saved card is charged without a payment page.
TOP_UP_STANDINGS = {
    Status.PENDING: Standing(
        _("Payment on its way"),
        "badge-warn",
        _("Your payment is on its way"),
        _(
            "The payment is on its way, and your bank takes its time with it. The credits are "
            "added by themselves as soon as the money is confirmed."
        ),
        may_ask_again=True,
    ),
    Status.OPEN: Standing(
        _("Waiting for payment"),
        "",
        _("Waiting for your payment"),
        _(
            "Your saved card is being charged. The credits are added by themselves as soon as "
            "that is confirmed."
        ),
        may_ask_again=True,
    ),
}


def _is_refunded(order: Order) -> bool:
    return bool(order.refunded_cents) and not order.disputed_cents


def _is_refunded_whole(order: Order) -> bool:
    return _is_refunded(order) and order.refunded_cents >= order.charged_cents


# The words and the tone of a paid order's badge: the first condition that holds decides.
PAID_BADGES: tuple[tuple[Callable[[Order], object], str, str], ...] = (
    (_is_refunded_whole, _("Refunded"), ""),
    (_is_refunded, _("Partly refunded"), ""),
    (lambda order: order.taken_back_credits == order.credits, _("Taken back"), "badge-warn"),
    (lambda order: order.taken_back_credits, _("Partly taken back"), "badge-warn"),
    (lambda order: True, _("Paid"), "badge-good"),
)
BEFORE = Remark(
    lambda facts: facts.order.is_top_up,
    _(
        'Ordered by <a href="{top_up}">automatic top-up</a>, when your balance had fallen below '
        "the level that you chose."
    ),
)
# For a paid order.
REMARKS = (
    Remark(
        lambda facts: facts.order.refunded_cents,
        _("Later {refunded} of the payment went back to you."),
    ),
    Remark(
        lambda facts: facts.order.disputed_cents and facts.is_disputed,
        _(
            "Your bank disputes {disputed} of the payment. If that was a mistake, tell your bank: "
            "as soon as the dispute is withdrawn, the credits come back by themselves."
        ),
    ),
    Remark(
        lambda facts: facts.order.disputed_cents and not facts.is_disputed,
        _("Your bank took {disputed} of the payment back, and has closed the dispute."),
    ),
    Remark(
        lambda facts: facts.is_disputed and not facts.order.disputed_cents,
        _(
            "Your bank asks about this payment, and calls are refused until that is answered. If "
            "you know the payment, tell your bank; the credits stay where they are."
        ),
    ),
    Remark(
        lambda facts: facts.order.taken_back_credits,
        _(
            "{taken_back} of the credits were taken back for that. If some of them had been spent "
            'before, <a href="{dashboard}">your overview</a> says what is owed.'
        ),
    ),
    Remark(
        lambda facts: facts.is_refund_refused,
        _(
            "Your bank did not take the refund, so its credits are back. Write to "
            '<a href="mailto:{support}">{support}</a> and we will find another way.'
        ),
    ),
)


def standing_of(order: Order, *, now: datetime) -> Standing:
    """Return the row of an order. An open order past its expiry counts as expired already."""
    if order.status == Status.OPEN and order.expires_at <= now:
        return EXPIRED
    status = Status(order.status)
    own = TOP_UP_STANDINGS.get(status) if order.is_top_up else None
    return own or STANDINGS[status]


def badge_of(order: Order, *, now: datetime) -> tuple[str, str]:
    """Return the words and the tone of an order's badge."""
    if order.status == Status.FULFILLED:
        return next((gettext(words), tone) for is_so, words, tone in PAID_BADGES if is_so(order))
    standing = standing_of(order, now=now)
    return gettext(standing.badge), standing.tone


def words_of(facts: Facts) -> list[str]:
    """Return the paragraphs about an order, with their placeholders."""
    order = facts.order
    before = [BEFORE.words] if BEFORE.is_so(facts) else []
    is_paid = order.status == Status.FULFILLED
    after = [each.words for each in REMARKS if is_paid and each.is_so(facts)]
    words = [*before, standing_of(order, now=facts.now).words, *after]
    return [gettext(each) for each in words]
