"""What switches automatic top-up off. Each says why, and only the customer switches it on again."""

from django.utils import timezone

from billing.models import AutoTopUp, Order
from billing.notices.tell import tell_top_up_off

State, OffReason = AutoTopUp.State, AutoTopUp.OffReason


def turn_off(
    top_up: AutoTopUp, reason: AutoTopUp.OffReason, *, detail: str = "", method_id: str = ""
) -> bool:
    """Switch off for a reason, if it is on or waits for a card; and if it uses this card.

    False if there was nothing to switch off.
    """
    found = AutoTopUp.objects.filter(pk=top_up.pk).exclude(state=State.OFF)
    if method_id:
        found = found.filter(stripe_payment_method_id=method_id)
    return (
        found.update(
            state=State.OFF,
            off_reason=reason,
            off_detail=detail[:200],
            off_at=timezone.now(),
            stripe_setup_session_id="",
        )
        == 1
    )


def turn_off_for_return(order: Order) -> None:
    """Switch off and tell, because a payment goes back and takes its credits with it.

    Otherwise the lower balance would have the next pack charged within seconds: to somebody who
    wanted the money back, or to a card whose owner disputes it.
    """
    top_up = AutoTopUp.objects.filter(wallet__user=order.user_id).first()
    if top_up is not None and turn_off(top_up, OffReason.RETURNED, detail=str(order.public_id)):
        tell_top_up_off(top_up, reason=OffReason.RETURNED)
