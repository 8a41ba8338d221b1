"""What a pack or an amount gives now: its own credits, and those that a promotion adds.

Pages, the API and orders all ask here, so that what is shown is what is bought. Of several
promotions the one that adds the most counts, never their sum.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from billing.exceptions import OfferChanged
from billing.models import Pack, Promotion


@dataclass(frozen=True, slots=True)
class PackOnSale:
    """A pack with the promotion that holds for it; None if there is none."""

    pack: Pack
    promotion: Promotion | None = None

    @property
    def bonus_credits(self) -> int:
        """Return how many of its credits the promotion adds."""
        return self.promotion.bonus_of(self.pack.credits) if self.promotion else 0

    @property
    def credits(self) -> int:
        """Return the credits that are sold for the pack's price."""
        return self.pack.credits + self.bonus_credits


def running_promotions(at: datetime | None = None) -> list[Promotion]:
    """Return the promotions that run at an instant, or now, the oldest first."""
    now = at or timezone.now()
    running = Promotion.objects.filter(is_shown=True, starts_at__lte=now, ends_at__gt=now)
    return list(running.prefetch_related("packs").order_by("pk"))


def find_promotion_to_show() -> Promotion | None:
    """Return the one of the promotions that run of which pages tell: the largest."""
    running = running_promotions()
    return max(running, key=lambda each: (each.bonus_percent, -each.pk), default=None)


def put_on_sale(packs: Iterable[Pack]) -> list[PackOnSale]:
    """Return these packs as they are sold now."""
    running = running_promotions()
    return [sell_with(pack, running) for pack in packs]


def sell(pack: Pack) -> PackOnSale:
    """Return one pack as it is sold now."""
    return sell_with(pack, running_promotions())


def sell_with(pack: Pack, promotions: Iterable[Promotion]) -> PackOnSale:
    """Return a pack as it is sold under these promotions."""
    covering = [each for each in promotions if _covers(each, pack)]
    return PackOnSale(pack, _best(covering, pack.credits))


def promotion_of_amount(base_credits: int) -> Promotion | None:
    """Return the promotion that adds to the credits of a custom amount now; None without one."""
    covering = [each for each in running_promotions() if each.covers_amounts]
    return _best(covering, base_credits)


def lock_given(promotion: Promotion | None, *, at: datetime) -> None:
    """Hold a promotion as it was read, for the caller's transaction that makes an order `at` then.

    Orders of one promotion are made one after another; that is a matter of milliseconds, and its
    terms can't be changed between what an order was offered and what it keeps. Raises OfferChanged
    if it does not run any more, or has other terms.
    """
    if promotion is None:
        return
    running = Promotion.objects.select_for_update(no_key=True).filter(
        pk=promotion.pk, is_shown=True, starts_at__lte=at, ends_at__gt=at
    )
    found = running.first()
    if found is None or terms_of(found) != terms_of(promotion):
        raise OfferChanged("The promotion has ended or changed.")


def terms_of(promotion: Promotion) -> tuple[int, bool, list[int]]:
    """Return on what it depends what is given under a promotion while it runs."""
    packs = sorted(pack.pk for pack in promotion.packs.all())
    return promotion.bonus_percent, promotion.covers_amounts, packs


def _covers(promotion: Promotion, pack: Pack) -> bool:
    chosen = [each.pk for each in promotion.packs.all()]
    return not chosen or pack.pk in chosen


def _best(covering: Sequence[Promotion], base_credits: int) -> Promotion | None:
    """Return the one that adds the most credits, of equal ones the oldest; None if none adds."""
    best = max(covering, key=lambda each: (each.bonus_of(base_credits), -each.pk), default=None)
    return best if best and best.bonus_of(base_credits) else None
