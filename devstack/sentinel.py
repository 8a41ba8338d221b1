"""A Valkey with a replica, and a Sentinel that puts the replica in its place when it dies."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from devstack.binaries import find_valkey
from devstack.errors import LaunchError
from devstack.ports import free_port
from devstack.process import Process
from devstack.valkey import Valkey

SERVICE = "money"
DEAD_AFTER_MS = 1_000
# For as long as the replica is kept behind, nobody takes its primary for dead.
PATIENT_MS = 600_000
UP_TIMEOUT_S = 60.0
POLL_S = 0.05
CONFIGURATION = f"""port {{port}}
bind 127.0.0.1
dir {{folder}}
sentinel monitor {SERVICE} 127.0.0.1 {{primary}} 1
sentinel auth-pass {SERVICE} {{password}}
sentinel down-after-milliseconds {SERVICE} {DEAD_AFTER_MS}
sentinel failover-timeout {SERVICE} 5000
"""
# A primary takes no write once it is alone: its replica may be the primary by then.
LONELY = "min-replicas-to-write"


class SentinelService:
    """Two Valkeys of one password, either of which may be the primary, and what watches them.

    Their data outlive it. One Sentinel is enough here: it decides alone.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool = True,
        on_exit: Callable[[Process], None] | None = None,
    ) -> None:
        self.folder = folder.absolute() / "sentinel"
        self.servers = [
            Valkey(folder / name, durable=durable, on_exit=on_exit)
            for name in ("valkey", "valkey-replica")
        ]
        self._on_exit = on_exit
        self._port = 0
        self._process: Process | None = None

    def url_of(self, database: int) -> str:
        """Return the address by which clients find the primary."""
        word = self.servers[0].password
        return f"sentinel://:{word}@127.0.0.1:{self._port}/{SERVICE}/{database}"

    @property
    def url(self) -> str:
        """The address of the server that is the primary now."""
        return self.primary.url

    @property
    def primary(self) -> Valkey:
        """The server that the Sentinel tells clients."""
        with redis.Redis(port=self._port, socket_timeout=5) as client:
            _, port = client.sentinel_get_master_addr_by_name(SERVICE)
        return next(server for server in self.servers if server.port == port)

    @property
    def replica(self) -> Valkey:
        """The other server."""
        primary = self.primary
        return next(server for server in self.servers if server is not primary)

    def start(self) -> None:
        """Start all three and wait until the replica has what the primary has.

        Raises LaunchError or IsLocked.
        """
        first, second = self.servers
        second.set_password(first.password)
        for server in self.servers:
            server.settings = {"masterauth": first.password, LONELY: "1"}
        first.start()
        second.settings["replicaof"] = f"127.0.0.1 {first.port}"
        second.start()
        await_true(lambda: is_linked(second), what="the replica has no link")
        self._start_sentinel(first)
        await_true(self._knows_replica, what="the Sentinel knows no replica")

    def stop(self) -> None:
        """Stop all three. Safe to repeat."""
        if self._process is not None:
            self._process.stop()
        for server in self.servers:
            server.stop()

    @contextmanager
    def lagging(self) -> Iterator[None]:
        """Let the replica learn nothing while the block runs, and the primary serve all the same.

        So a primary serves whose replica is late, until it counts as gone.
        """
        primary, replica = self.primary, self.replica
        self._be_patient(PATIENT_MS)
        set_up(primary, LONELY, "0")
        set_up(replica, "masterauth", "wrong")
        with redis.Redis.from_url(replica.url) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "master")
        try:
            yield
        finally:
            set_up(replica, "masterauth", replica.password)
            self._be_patient(DEAD_AFTER_MS)

    def await_failover(self, old: Valkey) -> None:
        """Wait until another server than `old` is the primary. Raises LaunchError."""
        await_true(
            lambda: self.primary is not old and is_primary(self.primary),
            what="the replica was not promoted",
        )

    def start_again(self, server: Valkey) -> None:
        """Start a server that was killed: as the replica, if the other one is the primary now."""
        server.settings.pop("replicaof", None)
        primary = self.primary
        if primary is not server:
            server.settings["replicaof"] = f"127.0.0.1 {primary.port}"
        server.start()

    def _start_sentinel(self, primary: Valkey) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        path = self.folder / "sentinel.conf"
        path.touch(mode=0o600)
        path.write_text(
            CONFIGURATION.format(
                port=self._port,
                folder=self.folder,
                primary=primary.port,
                password=primary.password,
            )
        )
        self._process = Process(
            "sentinel",
            [find_valkey(), path, "--sentinel"],
            output=self.folder / "sentinel.log",
            on_exit=self._on_exit,
        )
        self._process.start()

    def _knows_replica(self) -> bool:
        with redis.Redis(port=self._port, socket_timeout=5) as client:
            try:
                return len(client.sentinel_slaves(SERVICE)) == 1
            except redis.RedisError:
                return False

    def _be_patient(self, milliseconds: int) -> None:
        with redis.Redis(port=self._port, socket_timeout=5) as client:
            client.sentinel_set(SERVICE, "down-after-milliseconds", milliseconds)


def set_up(server: Valkey, name: str, value: str) -> None:
    """Change a setting of a server that runs."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set(name, value)


def is_primary(server: Valkey) -> bool:
    """Tell whether a server takes itself for the primary. False while it does not answer."""
    return _says(server, "role") == "master"


def is_linked(server: Valkey) -> bool:
    """Tell whether a replica follows its primary."""
    return _says(server, "master_link_status") == "up"


def _says(server: Valkey, field: str) -> object:
    with redis.Redis.from_url(server.url, socket_timeout=5) as client:
        try:
            return client.info("replication").get(field)
        except redis.RedisError:
            # A Sentinel ends all connections of a server that it promotes, this one too.
            return None


def await_true(holds: Callable[[], bool], *, what: str) -> None:
    """Wait until something holds. Raises LaunchError, which says what does not."""
    deadline = time.monotonic() + UP_TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline:
            raise LaunchError(f"{what} after {UP_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
