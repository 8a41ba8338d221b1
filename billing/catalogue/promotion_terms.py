"""What staff may do to a promotion, and when.

Its terms are what decides how many credits an order gets: the percentage, what it holds for, and
its start. They are changed only while it is hidden, so that each change is looked at before it
holds, and not once an order has its bonus: PostgreSQL refuses that of whoever asks. It ends when it
was said to, or earlier by a deed of its own.
"""

from datetime import datetime, timedelta

from django.utils import timezone

from billing.models import Promotion
from common.exceptions import DomainError

State = Promotion.State
TERMS = ("bonus_percent", "packs", "covers_amounts", "starts_at")


class PromotionFixed(DomainError):
    """A promotion can't be changed like that, or not any more."""


def lock_promotion(pk: int) -> Promotion:
    """Lock a promotion for the caller's transaction: no order is given it meanwhile."""
    return Promotion.objects.select_for_update().get(pk=pk)


def state_now(promotion: Promotion) -> State:
    return promotion.state_at(timezone.now())


def why_terms_stay(promotion: Promotion) -> str:
    """Say why the terms can't be changed; empty if they can."""
    if promotion.is_shown:
        return "Hide it first: its terms are changed while nobody is given them."
    if promotion.orders.exists():
        return "Orders have its bonus, so its terms stay. Make another promotion."
    return ""


def why_end_stays(promotion: Promotion, ends_at: datetime) -> str:
    """Say why it can't end at another instant; empty if it can."""
    if state_now(promotion) == State.OVER and promotion.orders.exists():
        return "It is over. Make another promotion."
    if state_now(promotion) == State.RUNNING and ends_at < promotion.ends_at:
        return "It runs, and customers were promised this end. To end it now, use its button."
    return ""


def why_not_shown(promotion: Promotion) -> str:
    """Say why it can't be shown; empty if it can."""
    if state_now(promotion) == State.OVER:
        return "It is over."
    return "It is shown." if promotion.is_shown else ""


def why_not_hidden(promotion: Promotion) -> str:
    """Say why it can't be hidden; empty if it can."""
    return "" if promotion.is_shown else "It is hidden."


def why_not_ended(promotion: Promotion) -> str:
    """Say why it can't be ended; empty if it can."""
    return "" if state_now(promotion) == State.RUNNING else "It does not run."


def show_promotion(promotion: Promotion) -> None:
    """Show and give a locked promotion from its start until its end. Raises PromotionFixed."""
    _demand(why_not_shown(promotion))
    _set(promotion, is_shown=True)


def hide_promotion(promotion: Promotion) -> None:
    """Neither show nor give a locked promotion. Raises PromotionFixed."""
    _demand(why_not_hidden(promotion))
    _set(promotion, is_shown=False)


def end_promotion(promotion: Promotion) -> None:
    """End a locked promotion that runs. Raises PromotionFixed."""
    _demand(why_not_ended(promotion))
    # It may have started at this very instant.
    _set(promotion, ends_at=max(timezone.now(), promotion.starts_at + timedelta(microseconds=1)))


def _demand(refusal: str) -> None:
    if refusal:
        raise PromotionFixed(refusal)


def _set(promotion: Promotion, **values: object) -> None:
    Promotion.objects.filter(pk=promotion.pk).update(**values)
