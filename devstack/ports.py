"""Free TCP ports on 127.0.0.1."""

import errno
import random
import socket

# Below the range from which Linux takes ports for outgoing connections (32768 and up): a server
# that restarts must find its port as it left it.
FIRST_PORT, LAST_PORT = 15_000, 32_000


class PortIsTaken(Exception):
    """Something else listens there."""


def free_port() -> int:
    """Return a port that is free now. Another process may take it before it is used."""
    for _ in range(200):
        port = random.randint(FIRST_PORT, LAST_PORT)  # noqa: S311 - not a secret
        if is_free(port):
            return port
    raise PortIsTaken(f"found no free port between {FIRST_PORT} and {LAST_PORT}")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Raises OSError if the host is no address of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
