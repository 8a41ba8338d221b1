"""`python -m sandbox.stripe`: run the emulator until it is told to stop."""

import argparse
import logging
import os
from pathlib import Path

import uvicorn

from sandbox.stripe.app import build_app
from sandbox.stripe.config import BadConfig, Config

# Stripe keeps idle connections; clients that reuse one must not find it closing.
KEEP_ALIVE_S = 600


def main() -> None:
    parser = _parser()
    given = parser.parse_args()
    try:
        config = Config(
            data_dir=given.data_dir,
            api_key=given.api_key,
            webhook_secret=given.webhook_secret,
            webhook_url=given.webhook_url,
            public_url=given.public_url or f"http://{given.host}:{given.port}",
        )
    except BadConfig as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # httpx would log every delivery, which the control page shows better.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    uvicorn.run(
        build_app(config),
        host=given.host,
        port=given.port,
        access_log=False,
        log_level="warning",
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=3,
    )


def _parser() -> argparse.ArgumentParser:
    # Arguments show in a process list; the environment is the other way to give the secrets.
    key = os.environ.get("STRIPE_SECRET_KEY")
    # The product takes several secrets while one replaces another; events are signed with one.
    secret = os.environ.get("STRIPE_WEBHOOK_SECRET", "").partition(",")[0]
    parser = argparse.ArgumentParser(prog="python -m sandbox.stripe", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--api-key", default=key, required=not key, help="sk_test_…")
    parser.add_argument("--webhook-secret", default=secret, required=not secret, help="whsec_…")
    parser.add_argument("--webhook-url", required=True, help="where events are POSTed")
    parser.add_argument("--public-url", help="where browsers reach this process")
    return parser


if __name__ == "__main__":
    main()
