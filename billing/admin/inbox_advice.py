"""What staff do about each kind of finding: words, pages that explain it, and buttons that act.

What is known of a finding is in its detail, by names that the table of pages knows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from accounts.desk.facts import lines_of
from accounts.desk.pages import Tool, list_tool
from billing.models import InboxItem, Order
from billing.stripe_api import parse_order_id

Make = Callable[[InboxItem], Tool | None]


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about one kind, and the buttons for it."""

    words: str
    tools: tuple[Make, ...] = ()


def do(label: str, model: str, action: str, key: str) -> Make:
    """Return the button of an action on the row that the detail names by its id."""

    def make(item: InboxItem) -> Tool | None:
        pk = item.detail.get(key)
        return _action(label, model, action, pk) if isinstance(pk, int) else None

    return make


def do_order(label: str, action: str) -> Make:
    """Return the button of an action on the order that the detail names."""

    def make(item: InboxItem) -> Tool | None:
        order_id = parse_order_id(str(item.detail.get("order_id")))
        order = Order.objects.filter(public_id=order_id).first() if order_id else None
        return _action(label, "billing_order", action, order.pk) if order else None

    return make


def look(label: str, model: str) -> Make:
    """Return the button to what a list finds by the finding's reference."""
    return lambda item: list_tool(label, model, q=item.reference)


def page(label: str, name: str, query: str = "") -> Make:
    return lambda item: Tool(label, reverse(f"admin:{name}") + query)


def _action(label: str, model: str, action: str, pk: int) -> Tool:
    return Tool(label, f"{reverse(f'admin:{model}_do', args=[action])}?ids={pk}", is_action=True)


ORDER = (do_order("Refund", "refund"), do_order("Ask Stripe again", "ask-stripe"))
REVIEW = (do_order("Credit the order", "credit"), do_order("Close the order", "close"), *ORDER)
UNFREEZE = do("Unfreeze the wallet", "billing_wallet", "unfreeze", "wallet")
REFUND = (look("The refund", "billing_refund"), *ORDER)
MARGIN = (page("Margin by provider", "margin", "?by=provider"), page("Margin by day", "margin"))
KEYS = page("Providers' keys", "proxy_providerkey_changelist", "?state=ejected")

ADVICE: dict[str, Advice] = {
    "audit_finding": Advice(
        "The books don't add up. Nothing repairs this by itself: find what wrote the row, then"
        " correct it with an entry.",
    ),
    "checkout_refused": Advice(
        "Nobody can buy this pack. Correct its price, or the account at Stripe.",
        (page("Packs", "billing_pack_changelist"),),
    ),
    "currency_unproven": Advice(
        "A price is stored that can't be sold. Take it off the pack.",
        (page("Packs", "billing_pack_changelist"),),
    ),
    "dispute": Advice(
        "The wallet is frozen. Answer the dispute in Stripe's dashboard before its deadline; won,"
        " the freeze is lifted by itself.",
        (look("The dispute", "billing_dispute"), ORDER[1]),
    ),
    "dispute_in_other_currency": Advice(
        "Compare the amounts in Stripe's dashboard, then correct the wallet by an adjustment.",
        ORDER,
    ),
    "dispute_lost": Advice(
        "The credits stay taken back. Decide whether the customer may go on: unfreeze the wallet,"
        " or leave it.",
        (UNFREEZE,),
    ),
    "event_not_booked": Advice(
        "A charge waits in Redis and can't be booked. The worker's log has the error.",
    ),
    "fraud_warning": Advice(
        "The bank takes the payment for fraud, and the wallet is frozen. Refund it before it is"
        " disputed, or unfreeze the wallet if you know the customer.",
        (do_order("Refund", "refund"), UNFREEZE),
    ),
    "hold_stuck": Advice(
        "The reaper can't end it: the worker's log says why. End it here; it is charged what it had"
        " used, or nothing. If that fails, restart the worker.",
        (look("The request", "billing_usagerecord"),),
    ),
    "journal_damaged": Advice(
        "The file was put aside as .damaged. Check the disk; requests of then may be uncharged."
    ),
    "key_write_offs": Advice(
        "Look at the key's usage. Freeze the wallet or limit the key if somebody does it on"
        " purpose; raise the hold if the model's context or ratio is too low.",
        (
            do("Set limits of the key", "accounts_apikey", "limit", "api_key"),
            do("Revoke the key", "accounts_apikey", "revoke", "api_key"),
        ),
    ),
    "margin_falling": Advice("Raise the model's price, or change its routes.", MARGIN),
    "margin_negative": Advice(
        "Each request loses money. Raise the model's price, or change its routes.",
        MARGIN,
    ),
    "margin_unknown_cost": Advice(
        "Enter what the provider takes on the route.",
        (page("Routes", "proxy_route_changelist"), *MARGIN),
    ),
    "order_mismatch": Advice(
        "Compare what was paid with what was ordered. Credit the order if the customer should have"
        " it, or close it and refund the payment.",
        REVIEW,
    ),
    "order_paid_twice": Advice("Refund one of the two payments in Stripe's dashboard.", ORDER),
    "payment_without_order": Advice(
        "Find whose it is in Stripe's dashboard; refund it, or grant the credits.",
        (page("Customers' wallets", "billing_wallet_changelist"),),
    ),
    "provider_account_failing": Advice(
        "Read what it says. An administrator's key of the account is entered on the provider's"
        " page; then ask again there. What it told before is kept.",
        (page("Providers", "proxy_provider_changelist"),),
    ),
    "provider_balance_low": Advice(
        "Pay into the account at the provider, or lower its share of the traffic.",
        (page("Providers", "proxy_provider_changelist"), *MARGIN),
    ),
    "provider_key_ejected": Advice(
        "The provider refuses the key. Enter another on its page, or use this one again.",
        (do("Use it again", "proxy_providerkey", "take-back", "key"), KEYS),
    ),
    "provider_quota": Advice(
        "Buy credit at the provider; the key is used again by itself.",
        (do("Use it again", "proxy_providerkey", "take-back", "key"), KEYS),
    ),
    "refund_failed": Advice(
        "The credits are back. Ask the customer how else the money may be returned.", REFUND
    ),
    "refund_failing": Advice("Often the balance at Stripe is too low. It is tried again.", REFUND),
    "refund_refused": Advice("Tell the customer, and refund again if it should be given.", REFUND),
    "second_payment_returned": Advice("Compare the payments in Stripe's dashboard.", ORDER),
    "stripe_difference": Advice("Compare the charge in Stripe's dashboard with the order."),
    "stripe_event_failing": Advice(
        "Read the error on the event's page, mend the cause, and process it again.",
        (
            look("The event", "billing_stripeevent"),
            do("Process again", "billing_stripeevent", "process-again", "event"),
        ),
    ),
    "stripe_event_of_other_mode": Advice(
        "Correct the endpoint in Stripe's dashboard: it sends events of the other mode."
    ),
    "top_up_fault": Advice("It is off. Read the error, and tell the customer."),
    "top_up_refused": Advice("It is off. Read Stripe's words, and tell the customer.", ORDER),
    "usage_parked": Advice(
        "The provider's count was impossible, so ours was charged. Adjust the wallet if it is"
        " unfair, and ask the provider.",
        (
            look("The request", "billing_usagerecord"),
            do("Adjust the wallet", "billing_wallet", "adjust", "wallet"),
        ),
    ),
    "usage_differs": Advice(
        "The provider bills other usage than our receipts say. Ask for its list of requests, and"
        " compare: calls that our log has with an error, or that somebody else makes with our key.",
        (page("Providers", "proxy_provider_changelist"), *MARGIN),
    ),
}
OTHER = Advice("Read what is known, act, and then resolve it with a word.")


# The page of each thing that a detail names, by its name there.
PAGES: dict[str, Callable[[Any], str]] = {
    "wallet": lambda pk: reverse("admin:billing_wallet_change", args=[pk]),
    "api_key": lambda pk: reverse("admin:accounts_apikey_change", args=[pk]),
    "team": lambda pk: reverse("admin:accounts_team_change", args=[pk]),
    "user": lambda pk: reverse("admin:accounts_user_change", args=[pk]),
    "key": lambda pk: reverse("admin:proxy_providerkey_change", args=[pk]),
    "order_id": lambda name: list_tool("", "billing_order", q=name).url,
    "session_id": lambda name: list_tool("", "billing_order", q=name).url,
    "payment_intent_id": lambda name: list_tool("", "billing_order", q=name).url,
    "charge_id": lambda name: list_tool("", "billing_order", q=name).url,
    "event": lambda pk: reverse("admin:billing_stripeevent_change", args=[pk]),
    "request": lambda name: list_tool("", "billing_usagerecord", q=name).url,
    "event_id": lambda name: list_tool("", "billing_stripeevent", q=name).url,
    "provider": lambda name: list_tool("", "proxy_provider", q=name).url,
    "model": lambda name: list_tool("", "billing_publicmodel", q=name).url,
}


def advice_of(item: InboxItem) -> Advice:
    return ADVICE.get(item.kind, OTHER)


def tools_of(item: InboxItem) -> list[Tool]:
    """Return the buttons of a finding's page."""
    return [tool for make in advice_of(item).tools if (tool := make(item)) is not None]


def known_of(item: InboxItem) -> list[tuple[str, str, str]]:
    """Return what is known: a name, its value as text, and the page about it if there is one."""
    rows = []
    for name, value in item.detail.items():
        if value is None or value == "":
            continue
        if isinstance(value, (int, str)) and name in PAGES:
            rows.append((name.replace("_", " "), str(value), PAGES[name](value)))
        else:
            rows += [(label, text, "") for label, text in lines_of({name: value})]
    return rows
