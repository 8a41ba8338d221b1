"""An embedded Valkey: its own data, port and password, on 127.0.0.1 alone."""

import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path

import redis

from devstack.binaries import find_valkey
from devstack.errors import LaunchError
from devstack.locks import FileLock
from devstack.orphans import end_orphans
from devstack.ports import free_port
from devstack.process import Process
from devstack.ready import LongWait

START_TIMEOUT_S = 60.0
POLL_S = 0.01


class Valkey:
    """A Valkey server whose append-only file, password and log live in one folder.

    The folder outlives the server, and one owner has it at a time: a second one is refused with
    IsLocked. A server that outlived its launcher is ended first. The port stays the same across
    `restart` and `kill` + `start`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool = True,
        port: int | None = None,
        on_exit: Callable[[Process], None] | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = self.folder / "valkey.log"
        self.durable = durable
        self.port = port
        self.on_exit = on_exit
        self._say = say
        # More lines of its configuration, from the next start on.
        self.settings: dict[str, str] = {}
        self._lock = FileLock(self.folder / "lock")
        self._process: Process | None = None

    def __enter__(self) -> "Valkey":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return self.url_of(0)

    @property
    def broker_url(self) -> str:
        """Another database of the same server, for Celery."""
        return self.url_of(1)

    @property
    def process(self) -> Process:
        """The server's process. Raises RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError("Valkey was never started")
        return self._process

    def url_of(self, database: int) -> str:
        """Raises RuntimeError before the first start."""
        if self.port is None:
            raise RuntimeError("Valkey was never started")
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def password(self) -> str:
        """Its password, which is made when it is first asked for."""
        if not self._password_file.exists():
            self.set_password(secrets.token_hex(24))
        return self._password_file.read_text().strip()

    def set_password(self, password: str) -> None:
        """Give it a password of the caller's, from the next start on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(f"{password}\n")

    def start(self) -> str:
        """Start the server, wait until it has loaded its data and return its URL.

        Raises IsLocked if another process owns the folder, LaunchError if it can't start.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._prepare()
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server; it writes its append-only file out first. Safe to repeat."""
        if self._process is not None:
            self._process.stop()
        self._lock.release()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self.process.kill()
        self._lock.release()

    def restart(self) -> str:
        """Stop it and start it again, on the same port and data."""
        self.stop()
        return self.start()

    def _prepare(self) -> None:
        end_orphans(
            self.data,
            commands=("valkey-server", "redis-server"),
            pid_file=self.data / "valkey.pid",
            signals=(signal.SIGTERM, signal.SIGKILL),
        )

    def _launch(self) -> None:
        chosen = self.port
        for _ in range(5):
            self.port = chosen or free_port()
            seen = self.log.stat().st_size if self.log.exists() else 0
            self._process = self._new_process(self.port)
            self._process.start()
            if self._answers():
                return
            said = self.log.read_bytes()[seen:].decode(errors="replace")
            if "Address already in use" not in said or chosen:
                break
        raise LaunchError(f"Valkey did not start (see {self.log}):\n{said.strip()[-2000:]}")

    def _new_process(self, port: int) -> Process:
        return Process(
            "valkey",
            [find_valkey(), self._write_configuration(port)],
            output=self.log,
            cwd=self.data,
            death_signal=signal.SIGTERM,
            on_exit=self.on_exit,
        )

    def _write_configuration(self, port: int) -> Path:
        """Write the settings to a file, because everyone on the machine can read arguments."""
        settings = {
            "bind": "127.0.0.1",
            "port": port,
            "requirepass": self.password,
            "pidfile": "./valkey.pid",
            # The append-only file is the record; a snapshot beside it would only cost time.
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            # What is in here is money: nothing may be dropped to make room.
            "maxmemory-policy": "noeviction",
            "loglevel": "notice",
            **self.settings,
        }
        path = self.folder / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        return path

    def _answers(self) -> bool:
        """Wait until it serves. False if it ended instead, or said nothing for long."""
        wait = LongWait(self._say, "It reads what it kept …")
        deadline = time.monotonic() + START_TIMEOUT_S
        with redis.Redis.from_url(self.url, socket_timeout=5, retry=None) as client:
            while self.process.is_running and time.monotonic() < deadline:
                try:
                    client.ping()
                except redis.BusyLoadingError:
                    # It reads its log, which takes as long as the log is.
                    wait.go_on()
                    deadline = time.monotonic() + START_TIMEOUT_S
                    time.sleep(POLL_S)
                except (redis.ConnectionError, redis.TimeoutError):
                    time.sleep(POLL_S)
                else:
                    return True
        self.process.stop()
        return False

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"
