"""Bytes over TLS as nobody's client would send them."""

import contextlib
import re
import socket
import ssl
from dataclasses import dataclass

from tests.edge.servers import Edge

STATUS = re.compile(rb"(?:^|\n|\})HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class Reply:
    """What came back, and whether the connection was closed behind it."""

    data: bytes
    is_closed: bool

    @property
    def statuses(self) -> list[int]:
        """Of every answer that came: more than one means that more than one was asked."""
        return [int(status) for status in STATUS.findall(self.data)]


def connect(edge: Edge, *, is_greeted: bool = True) -> socket.socket:
    """Open a connection; without a greeting, TLS has not begun."""
    plain = socket.create_connection(("127.0.0.1", edge.https_port), timeout=30)
    if not is_greeted:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def send(edge: Edge, data: bytes, *, silence_s: float = 2.0) -> Reply:
    """Send bytes; return what comes back until the end, or until nothing has come for a while."""
    got = b""
    with connect(edge) as connection:
        # Who refuses may close before everything was sent.
        with contextlib.suppress(OSError):
            connection.sendall(data)
        connection.settimeout(30)
        while True:
            try:
                more = connection.recv(65_536)
            except TimeoutError:
                return Reply(got, is_closed=False)
            except OSError:
                return Reply(got, is_closed=True)
            if not more:
                return Reply(got, is_closed=True)
            got += more
            connection.settimeout(silence_s)
