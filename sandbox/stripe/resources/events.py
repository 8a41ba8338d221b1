"""Events: what happened, in the words of the webhooks."""

import re

from stripe.params import EventListParams, EventRetrieveParams

from sandbox.stripe.box import Box
from sandbox.stripe.errors import InvalidParameter, ResourceMissing
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.store import Condition, JsonObject, Record

_MAX_TYPES = 20
# https://docs.stripe.com/api/events
_KEPT_S = 30 * 24 * 60 * 60
# A type, or a group of them: `charge.*`.
_TYPE = re.compile(r"^[a-z0-9_.]*\*?$")


def shown(box: Box, record: Record) -> JsonObject:
    """Return an event with the number of endpoints that have not taken it yet."""
    return {**record.body, "pending_webhooks": box.outbox.pending_count(record.id)}


def _retrieve(call: Call) -> JsonObject:
    event = call.box.get("event", call.path_params["id"], param="id")
    if event.body["created"] < _oldest(call.box):
        raise ResourceMissing("event", event.id, param="id")
    return shown(call.box, event)


def _oldest(box: Box) -> int:
    """Return when the oldest event was made that Stripe still tells of."""
    return box.clock.now() - _KEPT_S


def _list(call: Call) -> JsonObject:
    return list_objects(
        call,
        "event",
        conditions=(
            *_types(call.params),
            Condition(path="$.created", operator=">=", value=_oldest(call.box)),
        ),
        show=lambda record: shown(call.box, record),
    )


def _types(params: JsonObject) -> tuple[Condition, ...]:
    types = params.get("types")
    if types is not None and "type" in params:
        raise InvalidParameter("You may only specify one of these parameters: type, types.")
    if types is None:
        types = [params["type"]] if "type" in params else []
    if len(types) > _MAX_TYPES:
        raise InvalidParameter(f"You can name at most {_MAX_TYPES} types.", param="types")
    for name in types:
        if not _TYPE.match(name):
            raise InvalidParameter(f"Invalid event type: {name[:100]}", param="type")
    return (Condition(path="$.type", operator="GLOB", value=tuple(types)),) if types else ()


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/events",
        params=EventListParams,
        emulated=PAGING | {"type", "types"},
        run=_list,
    ),
    Operation(
        method="GET",
        path="/v1/events/{id}",
        params=EventRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
)
