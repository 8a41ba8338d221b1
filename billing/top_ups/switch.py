"""Switch automatic top-up off, always with a reason. Only the customer switches it on again."""

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.teams.events import Action, note
from billing.models import AutoTopUp, Order
from billing.top_ups.notices import notify_top_up_off

State, OffReason = AutoTopUp.State, AutoTopUp.OffReason


def switch_off(
    top_up: AutoTopUp, reason: AutoTopUp.OffReason, *, detail: str = "", method_id: str = ""
) -> bool:
    """Switch off, if it is on or waits for a card and, given `method_id`, uses that card.

    False if there was nothing to switch off. Safe to repeat.
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


@transaction.atomic
def switch_off_at_wish(top_up: AutoTopUp, *, by: User | None) -> None:
    """Switch off as a member of the team wishes, and write it into the team's trail."""
    if switch_off(top_up, OffReason.CUSTOMER):
        note(top_up.wallet.team, Action.TOP_UP_ENDED, actor=by)


def switch_off_for_return(order: Order) -> None:
    """Switch off and notify, because a payment goes back and its credits are taken back.

    Otherwise the lower balance would cause the next charge within seconds: to somebody who wanted
    the money back, or to a card whose owner disputes the charge.
    """
    _switch_off_and_notify(_of_buyer(order), OffReason.RETURNED, detail=str(order.public_id))


def switch_off_for_review(order: Order) -> None:
    """Switch off and notify, because a payment of this order brought no credits.

    The balance is as low as before, so the next sweep would charge the same again. It does not
    matter which card is saved now, nor what a person decides about the payment.
    """
    _switch_off_and_notify(_of_buyer(order), OffReason.UNCREDITED, detail=str(order.public_id))


def switch_off_for_fault(top_up: AutoTopUp, *, detail: str) -> None:
    """Switch off and notify, because something happened that nobody expected."""
    _switch_off_and_notify(AutoTopUp.objects.filter(pk=top_up.pk), OffReason.FAULT, detail=detail)


def switch_off_for_orphan(customer_id: str, payment_intent_id: str) -> None:
    """Switch off and notify, because a payment of this Stripe customer pays no order of ours."""
    of_customer = AutoTopUp.objects.filter(stripe_customer_id=customer_id)
    _switch_off_and_notify(
        of_customer.exclude(stripe_customer_id=""), OffReason.UNCREDITED, detail=payment_intent_id
    )


def _of_buyer(order: Order) -> QuerySet[AutoTopUp]:
    return AutoTopUp.objects.filter(wallet__team=order.team_id)


def _switch_off_and_notify(
    found: QuerySet[AutoTopUp], reason: AutoTopUp.OffReason, *, detail: str
) -> None:
    top_up = found.first()
    if top_up is not None and switch_off(top_up, reason, detail=detail):
        notify_top_up_off(top_up, reason=reason)
