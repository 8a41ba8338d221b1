"""Stripe's lists: newest first, `limit`, cursors, `created` ranges and equality filters."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from sandbox.stripe.errors import InvalidParameter, ResourceMissing
from sandbox.stripe.operation import Call
from sandbox.stripe.store import Condition, JsonObject, Record

Comparison = Literal["=", ">", ">=", "<", "<="]

_DEFAULT_LIMIT = 10
_MAX_LIMIT = 100
_RANGE: dict[str, Comparison] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def as_list(data: list[JsonObject], *, url: str, has_more: bool = False) -> JsonObject:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def list_objects(
    call: Call,
    kind: str,
    *,
    filters: Mapping[str, str] | None = None,
    conditions: tuple[Condition, ...] = (),
    show: Callable[[Record], JsonObject] = lambda record: record.body,
) -> JsonObject:
    """Return one page. `filters` maps a parameter to the JSON path that must equal it."""
    params = call.params
    wanted = [*conditions, *_created(params.get("created"))]
    for name, path in (filters or {}).items():
        if name in params:
            wanted.append(Condition(path=path, operator="=", value=params[name]))
    limit = page_limit(params)
    after, before = (_cursor(call, kind, name) for name in ("starting_after", "ending_before"))
    if after is not None and before is not None:
        raise InvalidParameter(
            "You may only specify one of these parameters: ending_before, starting_after."
        )
    records = call.box.store.select(kind, wanted, limit=limit + 1, after=after, before=before)
    has_more = len(records) > limit
    # Going backwards, the page is the part next to the cursor: the end of the list.
    page = records[-limit:] if before is not None else records[:limit]
    return as_list([show(record) for record in page], url=call.path, has_more=has_more)


def page_limit(params: Mapping[str, Any]) -> int:
    limit = params.get("limit", _DEFAULT_LIMIT)
    if not 1 <= limit <= _MAX_LIMIT:
        bound = "greater than or equal to 1" if limit < 1 else f"less than or equal to {_MAX_LIMIT}"
        raise InvalidParameter(
            f"This value must be {bound}.", code="parameter_invalid_integer", param="limit"
        )
    return int(limit)


def _cursor(call: Call, kind: str, name: str) -> int | None:
    object_id = call.params.get(name)
    if object_id is None:
        return None
    position = call.box.store.position(object_id, kind)
    if position is None:
        raise ResourceMissing(kind, object_id, param=name, status=400)
    return position


def _created(value: int | Mapping[str, int] | None) -> list[Condition]:
    if value is None:
        return []
    bounds: dict[Comparison, int]
    bounds = {"=": value} if isinstance(value, int) else {_RANGE[k]: v for k, v in value.items()}
    return [Condition(path="$.created", operator=op, value=v) for op, v in bounds.items()]
