"""The SDK's parameter types, made as strict as the API behind them.

The SDK's TypedDicts say which parameters exist. They are kind to a Python caller (any string
passes for an enumeration, a number for a string); the API is not, and it gets text. `strict`
rebuilds a TypedDict so that pydantic takes form text and refuses what Stripe refuses.
"""

import re
import sys
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError
from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import TypedDict, is_typeddict

_INTEGER = re.compile(r"^-?[0-9]{1,18}$")


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError("invalid_string", "Invalid string: an object was given")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, str) or not _INTEGER.match(value):
        raise PydanticCustomError(
            "invalid_integer", "Invalid integer: {given}", {"given": _shown(value)}
        )
    return int(value)


def _boolean(value: object) -> bool:
    if value not in ("true", "false"):
        raise PydanticCustomError(
            "invalid_boolean", "Invalid boolean: {given}", {"given": _shown(value)}
        )
    return value == "true"


def _decimal(value: object) -> Decimal:
    try:
        number = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise PydanticCustomError(
            "invalid_decimal", "Invalid decimal: {given}", {"given": _shown(value)}
        )
    return number


def _array(value: object) -> object:
    """Turn `{"0": a, "1": b}` into `[a, b]`; the indexes must be 0, 1, 2, … in any order."""
    if isinstance(value, dict) and set(value) == {str(index) for index in range(len(value))}:
        return [value[str(index)] for index in range(len(value))]
    raise PydanticCustomError("invalid_array", "Invalid array")


def _object(value: object) -> object:
    if not isinstance(value, dict):
        raise PydanticCustomError("invalid_object", "Invalid object")
    return value


def _shown(value: object) -> str:
    return value[:100] if isinstance(value, str) else "an object"


_SCALARS: dict[Any, Any] = {
    str: Annotated[str, BeforeValidator(_text)],
    int: Annotated[int, BeforeValidator(_integer)],
    bool: Annotated[bool, BeforeValidator(_boolean)],
    Decimal: Annotated[Decimal, BeforeValidator(_decimal)],
    float: Annotated[Decimal, BeforeValidator(_decimal)],
}


@cache
def strict(declared: Any) -> Any:
    """Return a strict twin of one of the SDK's TypedDicts."""
    # What the SDK itself consumes (api_key, headers, …) never arrives as a parameter.
    names = declared.__annotations__.keys() - RequestOptions.__annotations__.keys()
    holder = type(
        "holder", (), {"__annotations__": {n: declared.__annotations__[n] for n in names}}
    )
    module = vars(sys.modules[declared.__module__])
    hints = get_type_hints(holder, globalns=module, include_extras=True)
    fields = {name: _field(hint) for name, hint in hints.items()}
    make: Any = TypedDict
    twin = make(declared.__name__, fields)
    twin.__pydantic_config__ = ConfigDict(extra="forbid")
    return twin


def _field(hint: Any) -> Any:
    if get_origin(hint) is NotRequired:
        return NotRequired[_type(get_args(hint)[0])]
    return _type(hint)


def _type(hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if is_typeddict(hint):
        return Annotated[strict(hint), BeforeValidator(_object)]
    if origin is list:
        return Annotated[list[_type(arguments[0])], BeforeValidator(_array)]  # type: ignore[misc]
    if origin is dict:
        return Annotated[dict[str, _type(arguments[1])], BeforeValidator(_object)]  # type: ignore[misc]
    if origin is Literal:
        return hint
    if _is_union(hint):
        return Union[tuple(_type(member) for member in _members(arguments))]  # noqa: UP007
    raise TypeError(f"The SDK declares a parameter type nobody here knows: {hint!r}")


def _is_union(hint: Any) -> bool:
    return get_origin(hint) is Union or type(hint).__name__ == "UnionType"


def _members(arguments: tuple[Any, ...]) -> list[Any]:
    """Return a union's members, without the SDK's leniences: `|str` beside an enumeration."""
    has_enumeration = any(
        get_origin(member) is Literal and get_args(member) != ("",) for member in arguments
    )
    return [
        member
        for member in arguments
        if get_origin(member) is not UntypedStripeObject
        and member is not type(None)
        and not (member is str and has_enumeration)
    ]
