"""What of a request is sent to an upstream."""

from typing import Any

import orjson

from proxy.parsing.intake import Customer, Intake
from proxy.parsing.request import ModelRequest

ALICE = Customer(b"k" * 32, wallet_id=1)
BOB = Customer(b"k" * 32, wallet_id=2)


def write(
    request: ModelRequest, intake: Intake | None = None, customer: Customer = ALICE, **given: Any
) -> dict[str, Any]:
    """Return the body that an upstream gets, the default one unless another is given."""
    chosen: dict[str, Any] = {"model": "upstream", "max_tokens": 40} | given
    sent = orjson.loads(
        request.upstream_body(intake=intake or Intake(), customer=customer, **chosen)
    )
    assert isinstance(sent, dict)
    return sent
