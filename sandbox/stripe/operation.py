"""One endpoint of the API as data: resources list theirs, the router finds them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.forms import Params
from sandbox.stripe.store import JsonObject

# Shared by everything that returns an object or a list.
PAGING = frozenset({"limit", "starting_after", "ending_before", "created", "expand"})


@dataclass(frozen=True, kw_only=True)
class Call:
    """A validated request on its way to an operation."""

    box: Box
    path_params: Mapping[str, str]
    params: Params
    cause: Cause
    path: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    method: str
    # `/v1/customers/{id}`
    path: str
    # The SDK's TypedDict of its parameters.
    params: Any
    # Patterns of the parameters that do here what they do at Stripe; others are refused.
    emulated: frozenset[str]
    run: Callable[[Call], JsonObject]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path) + "$")
