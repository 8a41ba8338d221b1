"""`expand[]`: ids become the objects they name, and lists left out by default are put in."""

from collections.abc import Callable

from sandbox.stripe.box import Box
from sandbox.stripe.errors import InvalidParameter
from sandbox.stripe.permissions import check_expansion
from sandbox.stripe.resources.charges import refund_list
from sandbox.stripe.resources.checkout_sessions import get_session, line_item_list
from sandbox.stripe.resources.prices import currency_options
from sandbox.stripe.store import JsonObject

_MAX_DEPTH = 4

# Fields that hold an id and may hold the object instead.
_EXPANDABLE: dict[str, frozenset[str]] = {
    "checkout.session": frozenset(
        {"customer", "invoice", "payment_intent", "setup_intent", "subscription"}
    ),
    "payment_intent": frozenset({"customer", "latest_charge", "payment_method", "review"}),
    "charge": frozenset({"balance_transaction", "customer", "payment_intent", "review"}),
    "refund": frozenset(
        {"balance_transaction", "charge", "failure_balance_transaction", "payment_intent"}
    ),
    "balance_transaction": frozenset({"source"}),
    "dispute": frozenset({"charge", "payment_intent"}),
    "payment_method": frozenset({"customer"}),
    "radar.early_fraud_warning": frozenset({"charge", "payment_intent"}),
    "invoice": frozenset({"customer"}),
    "promotion_code": frozenset({"customer"}),
    "setup_intent": frozenset({"customer", "payment_method"}),
    "price": frozenset({"product"}),
    "product": frozenset({"default_price"}),
}

# Fields that are there only when asked for.
_INCLUDABLE: dict[tuple[str, str], Callable[[Box, JsonObject], JsonObject]] = {
    ("charge", "refunds"): lambda box, body: refund_list(box, body["id"]),
    ("price", "currency_options"): currency_options,
    ("checkout.session", "line_items"): lambda box, body: line_item_list(
        get_session(box, body["id"])
    ),
}


def expand(box: Box, body: JsonObject, paths: list[str]) -> None:
    """Expand each path in place. Raises before Stripe would answer anything else."""
    for path in paths:
        segments = path.split(".")
        if len(segments) > _MAX_DEPTH:
            raise InvalidParameter(
                f"You cannot expand more than {_MAX_DEPTH} levels of a property. "
                f"Property: {path[:200]}",
                param="expand",
            )
        _expand(box, body, segments, path)


def _expand(box: Box, node: JsonObject, segments: list[str], path: str) -> None:
    if not segments:
        return
    head, *rest = segments
    if node.get("object") == "list" and head == "data":
        for child in node["data"]:
            _expand(box, child, rest, path)
        return
    _fill(box, node, head, path, is_last=not rest)
    if isinstance(node[head], dict):
        _expand(box, node[head], rest, path)


def _fill(box: Box, node: JsonObject, head: str, path: str, *, is_last: bool) -> None:
    """Put the object where its id was; a field that is an object already is only passed."""
    kind = str(node.get("object"))
    include = _INCLUDABLE.get((kind, head))
    if include is not None:
        check_expansion(box.store, kind)
        if not node.get(head):
            node[head] = include(box, node)
    elif head in _EXPANDABLE.get(kind, ()):
        if isinstance(node[head], str) and (record := box.store.find(node[head])):
            check_expansion(box.store, record.kind)
            node[head] = record.body
    elif is_last or not isinstance(node.get(head), dict):
        raise InvalidParameter(f"This property cannot be expanded ({path[:200]}).", param="expand")
