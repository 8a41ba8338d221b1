"""Run the emulator: `python -m sandbox.upstream --port P --api-key KEY`."""

import argparse
import gc
import math
import socket
import sys

import uvicorn

from sandbox.upstream import counting
from sandbox.upstream.app import UpstreamApp
from sandbox.upstream.connection import WatchedProtocol
from sandbox.upstream.provider import Provider

HOST = "127.0.0.1"
# Longer than any client keeps an idle connection, so that none is closed under a request.
KEEP_ALIVE_S = 600
# Streams are cut this long after SIGTERM.
SHUTDOWN_S = 1
BACKLOG = 4096


class AnnouncedServer(uvicorn.Server):
    """Says where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            port = listener.getsockname()[1]
            sys.stdout.write(f"upstream emulator: http://{HOST}:{port}/v1 (see /control/)\n")
            sys.stdout.flush()


def main() -> None:
    """Parse the command line and serve until a signal."""
    options = _parser().parse_args()
    for name in counting.SHA256:
        counting.encoding(name)
    # The vocabularies live as long as the process: no collection needs to look at them.
    gc.freeze()
    provider = Provider(
        options.api_key,
        tokens_per_second=options.tokens_per_second,
        admin_key=options.admin_key,
    )
    config = uvicorn.Config(
        UpstreamApp(provider),
        http=WatchedProtocol,
        ws="none",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        backlog=BACKLOG,
    )
    AnnouncedServer(config).run(sockets=[_listen(options.port)])


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        sys.exit(f"upstream emulator: can't listen on {HOST}:{port}: {error.strerror}")
    return listener


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.upstream", description=__doc__)
    parser.add_argument("--port", type=_port, required=True, help="0 takes a free one")
    parser.add_argument(
        "--api-key",
        type=_key,
        required=True,
        action="append",
        help="a key that it accepts; may be repeated",
    )
    parser.add_argument(
        "--admin-key", type=_key, help="the administrator's, for usage, costs and credits"
    )
    parser.add_argument(
        "--tokens-per-second",
        type=_speed,
        default=0.0,
        metavar="N",
        help="speed of every model; 0, the default, is as fast as possible",
    )
    parser.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="1",
        help="one process keeps the tally exact; it serves thousands of streams a second",
    )
    return parser


def _workers(text: str) -> int:
    if text != "1":
        raise argparse.ArgumentTypeError("must be 1: the tally lives in one process")
    return 1


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError("must be an integer from 0 to 65535")
    return int(text)


def _key(text: str) -> str:
    if not text.isascii() or not text.isprintable() or not text or " " in text:
        raise argparse.ArgumentTypeError("must be printable ASCII without spaces")
    return text


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 <= speed < math.inf:
        raise argparse.ArgumentTypeError("must be a number, 0 or more")
    return speed


if __name__ == "__main__":
    main()
