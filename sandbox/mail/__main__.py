"""`python -m sandbox.mail`: take mail and show it, until told to stop."""

import argparse
import logging
from pathlib import Path

import uvicorn

from sandbox.mail.app import build_app


def main() -> None:
    given = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # It would log every step of every connection.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    uvicorn.run(
        build_app(given.data_dir, smtp_host=given.host, smtp_port=given.smtp_port),
        host=given.host,
        port=given.port,
        access_log=False,
        log_level="warning",
        ws="none",
        timeout_graceful_shutdown=3,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.mail", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="of the page")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    return parser


if __name__ == "__main__":
    main()
