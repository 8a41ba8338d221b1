"""An embedded PostgreSQL: its own data, port and password, on 127.0.0.1 alone."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from devstack.binaries import find_postgres
from devstack.errors import LaunchError
from devstack.locks import FileLock
from devstack.orphans import end_orphans
from devstack.ports import free_port
from devstack.process import HAS_DEATH_SIGNAL, Process, User
from devstack.ready import LongWait

ROLE = DATABASE = "tokenproxy"
# What the product serves as; a command of its own makes it.
SERVING_ROLE = "tokenproxy_app"
START_TIMEOUT_S = 60.0
# What a server says that reads its log after a crash, which takes as long as the log is.
RECOVERING = ("is starting up", "not yet accepting connections")
POLL_S = 0.02
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # TCP alone: a socket's path may be too long, and two servers may want the same one.
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
# For data that need not survive a power cut.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class Postgres:
    """A PostgreSQL server whose cluster, password and log live in one folder.

    The folder outlives the server; `start` makes what is missing and repairs what a crash left:
    a stale lock file, or a server that outlived its launcher. One owner at a time: a second one
    is refused with IsLocked. The port stays the same across `restart` and `kill` + `start`.
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
        # Not `resolve`: error messages should show the folder's own path.
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.durable = durable
        self.port = port
        self.on_exit = on_exit
        self._say = say
        self.user = server_user()
        self._lock = FileLock(self.folder / "lock")
        self._process: Process | None = None

    def __enter__(self) -> "Postgres":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Raises RuntimeError before the first start."""
        if self.port is None:
            raise RuntimeError("PostgreSQL was never started")
        return self._url(DATABASE)

    @property
    def serving_url(self) -> str:
        """Return the address of the role that serves, whose password is kept beside the owner's."""
        path = self.folder / "serving-password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(24) + "\n")
        password = path.read_text().strip()
        return f"postgresql://{SERVING_ROLE}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def process(self) -> Process:
        """The server's main process. Raises RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError("PostgreSQL was never started")
        return self._process

    def start(self) -> str:
        """Start the server, wait until it answers and return its URL.

        Raises IsLocked if another process owns the folder, LaunchError if it can't start.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._prepare()
            self._launch()
            self._ensure_database()
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server (fast shutdown, then SIGKILL). Safe to repeat."""
        if self._process is not None:
            self._process.stop()
        self._lock.release()

    def kill(self) -> None:
        """End the main process with SIGKILL, as a crash would."""
        self.process.kill()
        self._lock.release()

    def restart(self) -> str:
        """Stop it and start it again, on the same port and data."""
        self.stop()
        return self.start()

    def _prepare(self) -> None:
        end_orphans(
            self.data,
            commands=("postgres",),
            pid_file=self.data / "postmaster.pid",
            # Fast, then immediate, then without asking: data is safe with each of them.
            signals=(signal.SIGINT, signal.SIGQUIT, signal.SIGKILL),
        )
        # The server is gone; another process may have its id by now.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        if not self.log.exists():
            self.log.touch(mode=0o600)
        if not (self.data / "PG_VERSION").exists():
            make_cluster(self.data, user=self.user)

    def _launch(self) -> None:
        chosen = self.port
        for _ in range(5):
            self.port = chosen or free_port()
            seen = self.log.stat().st_size
            self._process = self._new_process(self.port)
            self._process.start()
            if self._answers():
                return
            said = self.log.read_bytes()[seen:].decode(errors="replace")
            if "Address already in use" not in said or chosen:
                break
        raise LaunchError(f"PostgreSQL did not start (see {self.log}):\n{said.strip()[-2000:]}")

    def _new_process(self, port: int) -> Process:
        settings = SETTINGS | ({} if self.durable else NOT_DURABLE) | {"port": str(port)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        program = find_postgres(self.user) / "postgres"
        return Process(
            "postgres",
            [program, "-D", data_argument(self.data, self.user), *options],
            output=self.log,
            cwd=self.data,
            user=self.user,
            env=server_environment(),
            # Fast shutdown: no backend stays behind, and the next start needs no recovery.
            death_signal=signal.SIGINT if self.durable else signal.SIGQUIT,
            stop_signal=signal.SIGINT if self.durable else signal.SIGQUIT,
            stop_timeout_s=20.0,
            on_exit=self.on_exit,
        )

    def _answers(self) -> bool:
        """Wait until it takes connections. False if it ended instead, or said nothing for long."""
        wait = LongWait(self._say, "It was ended in the middle of its work, and recovers …")
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.process.is_running and time.monotonic() < deadline:
            try:
                psycopg.connect(self._url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if any(words in str(error) for words in RECOVERING):
                    # To end it here would have the next start begin with the same.
                    wait.go_on()
                    deadline = time.monotonic() + START_TIMEOUT_S
                if "password authentication failed" in str(error):
                    raise LaunchError(
                        f"the password in {self.folder / 'password'} is not this cluster's"
                    ) from error
                time.sleep(POLL_S)
            else:
                return True
        self.process.stop()
        return False

    def _ensure_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _url(self, database: str) -> str:
        password = (self.folder / "password").read_text().strip()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self.port}/{database}"


def server_user() -> User | None:
    """Return the user to run the server as, or None for our own. PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise LaunchError(
            "PostgreSQL refuses to run as root, and this machine has no user `nobody` to run it "
            "as. Add one, run as a normal user, or set DATABASE_URL."
        ) from error
    return User(uid=nobody.pw_uid, gid=nobody.pw_gid)


def data_argument(data: Path, user: User | None) -> str:
    """Name the data directory for a server that starts inside it.

    Another user may own the directory and yet not be allowed to walk there (a checkout below
    /root). The working directory survives the change of user, and this name leads to it.
    """
    return "/proc/self/cwd" if user and HAS_DEATH_SIGNAL else str(data)


def server_environment() -> dict[str, str]:
    """Return the server's environment, without the user's PG* and locale settings."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def make_cluster(data: Path, *, user: User | None) -> None:
    """Run initdb. An interrupted one is started over.

    Raises LaunchError with initdb's own words if it fails.
    """
    making = data.with_name("data.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    password = data.with_name("password")
    password.touch(mode=0o600)
    password.write_text(secrets.token_hex(24) + "\n")
    if user:
        # initdb reads the password as that user, through this folder.
        for path in (data.parent, making, password):
            os.chown(path, user.uid, user.gid)
    run_initdb(making, user=user)
    making.rename(data)


def run_initdb(data: Path, *, user: User | None) -> None:
    output: list[str] = []
    initdb = Process(
        "initdb",
        [
            find_postgres(user) / "initdb",
            *("-D", data_argument(data, user)),
            *("--username", ROLE, "--pwfile", "../password", "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"),
        ],
        output=output.append,
        cwd=data,
        user=user,
        env=server_environment(),
    )
    initdb.start()
    try:
        code = initdb.wait(START_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        initdb.kill()
        code = None
    if code != 0:
        raise LaunchError(f"initdb failed with {code}:\n" + "\n".join(output[-20:]))
