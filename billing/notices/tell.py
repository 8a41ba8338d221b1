"""What customers are mailed. Services call a `tell_…`; the mail is sent by `notice_outbox`.

A notice is a row of the caller's transaction: if that rolls back, nothing is sent, and if it
commits, the mail will be sent even if this process dies now. Its kind and reference name the
cause, so that a repeated webhook or sweep mails once. The facts are all that a mail says beside
the customer's present balance; amounts are integers, instants ISO texts.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.utils import timezone

from accounts.models import ApiKey, User
from billing.ledger.entry_words import describe
from billing.models import AutoTopUp, Lot, Notice, NotificationSettings, Order, Wallet

Kind = Notice.Kind

# The field of NotificationSettings that switches a kind off. Receipts and security have none.
SWITCHES = {
    Kind.LOW_BALANCE: "wants_low_balance",
    Kind.LOT_EXPIRING: "wants_lot_expiring",
    Kind.TOP_UP_SUCCEEDED: "wants_top_up_succeeded",
}

# What anybody can cause at will who has an account. Until an address is verified it may be somebody
# else's, who must not be mailed a hundred times, with a key's name of the sender's choosing in it.
FOR_KNOWN_ADDRESSES = (Kind.NEW_KEY, Kind.NEW_SIGN_IN)


def notify(user: User, kind: Notice.Kind, *, reference: str, **facts: Any) -> Notice | None:
    """Write down a mail, to be sent once the caller's transaction commits. Safe to repeat.

    Returns the notice; the first one if this cause was told before; None if the customer switched
    this kind off, or it is not for an address that may be anybody's.
    """
    if is_switched_off(user, kind):
        return None
    if kind in FOR_KNOWN_ADDRESSES and not is_known_address(user):
        return None
    notice, _ = Notice.objects.get_or_create(
        kind=kind, reference=reference, defaults={"user": user, "facts": facts}
    )
    return notice


def is_switched_off(user: User, kind: Notice.Kind) -> bool:
    """Tell whether the customer does not want mails of this kind."""
    switch = SWITCHES.get(kind)
    if switch is None:
        return False
    return NotificationSettings.objects.filter(user=user, **{switch: False}).exists()


def is_known_address(user: User) -> bool:
    """Tell whether the address is the customer's own, as far as we know.

    It was verified, or never had to be because staff made the account, or its owner has paid.
    """
    unverified = EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=False)
    paid = Order.objects.filter(user=user, fulfilled_at__isnull=False)
    return not unverified.exists() or paid.exists()


def tell_order(order: Order) -> None:
    """Send the receipt of an order that was credited."""
    days = order.validity_days
    credited_at = order.fulfilled_at or timezone.now()
    expires_at = None if days is None else credited_at + timedelta(days=days)
    notify(
        order.user,
        Kind.PURCHASE,
        reference=str(order.public_id),
        **_order_facts(order),
        receipt_url=order.receipt_url,
        expires_at=_text(expires_at),
    )


def tell_refund(order: Order) -> None:
    """Tell how much of an order was refunded so far, once for each time that it grew."""
    # The same amount may be reached twice, if the first refund failed. What was clawed back for
    # the two only grows.
    reached = f"{order.refunded_cents}:{order.clawed_back_credits}"
    notify(
        order.user,
        Kind.REFUND,
        reference=f"{order.public_id}:{reached}",
        **_order_facts(order),
        refunded_cents=order.refunded_cents,
        clawed_back_credits=order.taken_back_credits,
    )


def tell_dispute(order: Order, *, reference: str, state: str = "opened") -> None:
    """Tell that a payment is disputed, or how that ended: `opened`, `won` or `lost` (by us)."""
    notify(
        order.user,
        Kind.DISPUTE,
        reference=f"{reference}:{state}",
        **_order_facts(order),
        state=state,
    )


def tell_new_key(key: ApiKey) -> None:
    """Tell that an API key was made. The secret is in no mail."""
    notify(key.user, Kind.NEW_KEY, reference=f"key:{key.pk}", name=key.name, hint=key.hint)


def tell_new_sign_in(
    user: User, *, reference: str, device_name: str, address: str, at: datetime
) -> None:
    """Tell that somebody signed in from a browser and network that were not seen before."""
    notify(
        user,
        Kind.NEW_SIGN_IN,
        reference=reference,
        device_name=device_name,
        address=address,
        at=_text(at),
    )


def tell_low_balance(wallet: Wallet, *, threshold_credits: int, armed_by: int) -> None:
    """Tell that the balance fell below the threshold, once for each credit that lifted it."""
    notify(
        wallet.user,
        Kind.LOW_BALANCE,
        reference=f"{wallet.pk}:{armed_by}:{threshold_credits}",
        posted_credits=wallet.posted_credits,
        threshold_credits=threshold_credits,
    )


def tell_lot_expiring(lot: Lot) -> None:
    """Tell that what is left of a credit expires soon, once."""
    notify(
        lot.wallet.user,
        Kind.LOT_EXPIRING,
        reference=f"lot:{lot.pk}",
        remaining_credits=lot.remaining_credits,
        expires_at=_text(lot.expires_at),
        source=describe(lot.entry),
    )


def tell_top_up_succeeded(order: Order) -> None:
    """Tell that an automatic top-up was paid; its receipt is told by `tell_order`."""
    notify(
        order.user,
        Kind.TOP_UP_SUCCEEDED,
        reference=str(order.public_id),
        **_order_facts(order),
    )


def tell_top_up_declined(order: Order, *, reason: str, checkout_url: str) -> None:
    """Tell that the card was declined and that automatic top-up is off; link to a Checkout."""
    notify(
        order.user,
        Kind.TOP_UP_DECLINED,
        reference=str(order.public_id),
        **_order_facts(order),
        reason=reason,
        checkout_url=checkout_url,
    )


def tell_top_up_action(order: Order, *, checkout_url: str) -> None:
    """Tell that the bank wants the customer to confirm; link to a Checkout where that is done."""
    notify(
        order.user,
        Kind.TOP_UP_ACTION,
        reference=str(order.public_id),
        **_order_facts(order),
        checkout_url=checkout_url,
    )


def tell_top_up_off(top_up: AutoTopUp, *, reason: str) -> None:
    """Tell that automatic top-up was switched off, and why: `terms`, `returned`, `uncredited`
    or `staff`.
    """
    notify(
        top_up.wallet.user,
        Kind.TOP_UP_OFF,
        reference=f"{top_up.public_id}:{top_up.consent_id}:{reason}",
        reason=reason,
    )


def _order_facts(order: Order) -> dict[str, Any]:
    public_id: UUID = order.public_id
    return {
        "order_id": str(public_id),
        "pack_name": order.pack_name,
        "credits": order.credits,
        # What was paid, with discount and tax: mails call it that. The price, until it is paid.
        "amount_cents": order.charged_cents,
        "currency": order.currency,
    }


def _text(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
