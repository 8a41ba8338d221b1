"""The customer of the first day: signs up at the site, buys the pack and takes a key.

Runs where the site's name leads to it; prints the key.
"""

import ssl
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.edge.servers import NAME
from tests.first_day.steps import STRIPE, STRIPE_KEY
from tests.stack.visitor import Visitor, secret_on
from tests.waiting import await_true


@dataclass(frozen=True)
class Place:
    """Where the site and its Stripe are."""

    url: str = f"https://{NAME}"
    stripe_url: str = f"http://127.0.0.1:{STRIPE}"
    env: dict[str, str] = field(default_factory=lambda: {"STRIPE_SECRET_KEY": STRIPE_KEY})


def main(certificate: str, leave_at: str) -> None:
    visitor = Visitor(Place(), verify=ssl.create_default_context(cafile=certificate))
    try:
        visitor.sign_up("customer@example.com")
        session_id = visitor.order("first")
        assert visitor.pay(session_id) == 200
        secret = secret_on(visitor.come_back(session_id))
        headers = {"Authorization": f"Bearer {secret}"}
        await_true(
            lambda: "gpt-4o" in visitor.http.get("/v1/models", headers=headers).text,
            what="the model to be on sale",
        )
    finally:
        visitor.close()
    Path(leave_at).write_text(secret)


if __name__ == "__main__":
    main(*sys.argv[1:])
