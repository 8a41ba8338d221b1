"""An order's standing as HTML: the rows of `billing.orders.standing`, filled in."""

from datetime import datetime
from typing import Any

from django import template
from django.conf import settings
from django.template import Context
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from billing.models import Order, Refund
from billing.orders import standing
from billing.orders.standing import Facts, Standing
from billing.templatetags.instants import instant
from common import money

register = template.Library()


@register.simple_tag
def standing_of(order: Order, now: datetime) -> Standing:
    return standing.standing_of(order, now=now)


@register.simple_tag
def order_badge(order: Order, now: datetime) -> SafeString:
    """Return the badge of an order."""
    words, tone = standing.badge_of(order, now=now)
    return format_html('<span class="{}">{}</span>', f"badge {tone}".rstrip(), words)


@register.simple_tag(takes_context=True)
def order_words(context: Context) -> list[SafeString]:
    """Return the paragraphs about the context's order, its open disputes and its refunds."""
    order: Order = context["order"]
    refunds = list(context.get("refunds") or ())
    facts = Facts(
        order,
        context["now"],
        is_disputed=bool(context.get("disputes")),
        is_refund_refused=bool(refunds) and refunds[0].status == Refund.Status.FAILED,
    )
    places = _places(order)
    return [format_html(words, **places) for words in standing.words_of(facts)]


def _places(order: Order) -> dict[str, Any]:
    refunded = money.price(order.refunded_cents, order.currency)
    return {
        "packs": reverse("packs"),
        "dashboard": reverse("dashboard"),
        "top_up": reverse("dashboard-top-up"),
        "support": settings.SUPPORT_EMAIL,
        "credits": money.credits(order.credits),
        "refunded": refunded,
        "went_back": gettext(" {refunded} went back to you.").format(refunded=refunded)
        if order.refunded_cents
        else "",
        "disputed": money.price(order.disputed_cents, order.currency),
        "taken_back": money.credits(order.taken_back_credits),
        "expires": instant(order.expires_at),
    }
