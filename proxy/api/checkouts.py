"""A link to pay for a pack, which a program whose credits ran out can show to its user."""

from typing import Any

from accounts.models import ApiKey
from accounts.teams.members import get_seat
from billing.models import Order
from billing.orders.checkout import start_checkout
from proxy.api.instants import instant
from proxy.database import with_stripe
from proxy.errors import InvalidRequest
from proxy.serving.keys import KeyFacts


async def open_checkout(key: KeyFacts, payload: dict[str, Any], *, address: str) -> dict[str, Any]:
    """Return an order of a pack, which the key's owner can pay at `url`. `address` is the caller's.

    Safe to repeat: an order that can still be paid is given again. Raises InvalidRequest,
    NotAllowed, NotAMember, PackUnavailable, TooManyOrders, PaymentProviderError.
    """
    slug = payload.get("pack")
    # No slug has a NUL, which PostgreSQL does not take.
    if not isinstance(slug, str) or "\0" in slug:
        raise InvalidRequest(
            "'pack' must be the slug of a pack, such as those on the packs page.",
            param="pack",
            code="missing_required_parameter" if slug is None else "invalid_type",
        )
    if unknown := payload.keys() - {"pack"}:
        name = min(unknown)
        raise InvalidRequest(
            f"Unsupported parameter: '{name}'.", param=name, code="unsupported_parameter"
        )
    return describe(await with_stripe(_order, key.api_key_id, slug, address), pack=slug)


def _order(api_key_id: int, slug: str, address: str) -> Order:
    key = ApiKey.objects.select_related("team__person", "created_by").get(pk=api_key_id)
    seat = get_seat(key.team, key.created_by)
    return start_checkout(seat, pack_slug=slug, address=address, language=seat.user.language)


def describe(order: Order, *, pack: str) -> dict[str, Any]:
    """Describe an order and where to pay it."""
    return {
        "id": str(order.public_id),
        "object": "checkout",
        "url": order.stripe_session_url,
        "pack": pack,
        "credits": order.credits,
        "bonus_credits": order.bonus_credits,
        "amount_cents": order.amount_cents,
        "currency": order.currency,
        "expires_at": instant(order.expires_at),
    }
