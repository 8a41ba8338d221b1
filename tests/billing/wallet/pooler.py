"""A pooler in front of PostgreSQL that lends a session for one transaction at a time.

As PgBouncer's transaction mode does, and it is as unkind as that may be: the next transaction gets
the session that has been idle for the longest, so two in a row never get the same one.
"""

import os
import queue
import select
import socket
import struct
import threading
from contextlib import suppress
from typing import Any

import psycopg

SSL_REQUEST, GSS_REQUEST = 80_877_103, 80_877_104
TERMINATE = b"X"
READY, IDLE = b"Z", b"I"
TOLD = ("server_version", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings")


class Session:
    """A session of PostgreSQL that psycopg has opened, as a socket."""

    def __init__(self, conninfo: dict[str, Any]) -> None:
        self.connection = psycopg.connect(**conninfo, autocommit=True, sslmode="disable")
        self.socket = socket.socket(fileno=os.dup(self.connection.fileno()))
        self.socket.setblocking(True)
        self._unread = b""

    def close(self) -> None:
        self.socket.close()
        self.connection.close()

    def take(self, data: bytes) -> bool:
        """Follow what PostgreSQL says. True if it ends with being outside a transaction."""
        self._unread += data
        is_idle = False
        while len(self._unread) >= 5:
            (length,) = struct.unpack("!I", self._unread[1:5])
            if len(self._unread) <= length:
                return False
            message, self._unread = self._unread[: length + 1], self._unread[length + 1 :]
            is_idle = message[:1] == READY and message[5:] == IDLE
        return is_idle and not self._unread


class Pooler:
    """Listens on 127.0.0.1, with a thread for each client."""

    def __init__(self, conninfo: dict[str, Any], *, sessions: int) -> None:
        self._conninfo = conninfo
        self._idle: queue.Queue[Session] = queue.Queue()
        for _ in range(sessions):
            self._idle.put(Session(conninfo))
        self._sessions = sessions
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def close(self) -> None:
        """Hang up on everybody."""
        self._listener.shutdown(socket.SHUT_RDWR)
        # The first thread is the one that starts the others.
        self._threads[0].join()
        self._listener.close()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for _ in range(self._sessions):
            self._idle.get_nowait().close()

    def _start(self, function: Any, *args: Any) -> None:
        thread = threading.Thread(target=function, args=args, name="pooler", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        # Until it is shut down.
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if not self._greet(client):
                return
            while (data := client.recv(65_536)) and data[:1] != TERMINATE:
                self._lend(client, data)

    def _greet(self, client: socket.socket) -> bool:
        """Let anybody in. False if it is no client after all."""
        while head := client.recv(8, socket.MSG_WAITALL):
            length, code = struct.unpack("!II", head)
            if code not in {SSL_REQUEST, GSS_REQUEST}:
                break
            client.sendall(b"N")
        else:
            return False
        client.recv(length - 8, socket.MSG_WAITALL)
        session = self._idle.get()
        told = {name: session.connection.info.parameter_status(name) or "" for name in TOLD}
        self._idle.put(session)
        said = [_message(b"R", struct.pack("!I", 0))]
        said += [_message(b"S", f"{name}\0{value}\0".encode()) for name, value in told.items()]
        said += [_message(b"K", struct.pack("!II", 0, 0)), _message(READY, IDLE)]
        client.sendall(b"".join(said))
        return True

    def _lend(self, client: socket.socket, data: bytes) -> None:
        """Lend a session until its transaction has ended; one that is left in it is thrown away."""
        session = self._idle.get()
        try:
            session.socket.sendall(data)
            while not self._relay(client, session):
                pass
        except OSError:
            session.close()
            session = Session(self._conninfo)
            raise
        finally:
            self._idle.put(session)

    def _relay(self, client: socket.socket, session: Session) -> bool:
        """Pass on what either end says. True once a transaction has ended."""
        ready, _, _ = select.select([client, session.socket], [], [])
        for end, other in ((client, session.socket), (session.socket, client)):
            if end not in ready:
                continue
            data = end.recv(65_536)
            if not data:
                raise ConnectionAbortedError("One end has hung up.")
            other.sendall(data)
            if end is session.socket:
                return session.take(data)
        return False


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
