"""`make pooler-test`: tests of the books and of rebuilds through Debian's PgBouncer.

`make pooler-stack-test` does the same with the whole product under load.

In transaction mode every transaction may reach another session of PostgreSQL, so whatever lives in
a session (a lock, a cursor, a setting) is found here. The pool has fewer sessions than the product
has connections.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from devstack.environment import ROOT
from devstack.errors import LaunchError
from devstack.ports import free_port
from devstack.postgres import Postgres, server_user
from devstack.process import Process
from devstack.tools import Tool, ensure_tool

PGBOUNCER = Tool(("pgbouncer",), "pgbouncer", "the tests through a pooler")
TESTS = (
    "tests/billing/upkeep/test_adoption.py",
    "tests/billing/upkeep/test_drain.py",
    "tests/billing/upkeep/test_reaper.py",
    "tests/billing/upkeep/test_recovery.py",
    "tests/billing/ledger/test_bookings.py",
)
STACK_TESTS = (
    "tests/stack/test_lifecycle.py",
    "tests/stack/test_money_under_load.py",
    "tests/stack/test_overdraw.py",
)
STACK_OPTIONS = ("-n0", "-m", "stack")
# Where the whole product's PostgreSQL is, if it is not to have one of its own.
STACK_DATABASE = "STACK_DATABASE_URL"
# PgBouncer keeps its sessions, so the tests' database goes with its server instead.
OPTIONS = ("-n0", "--reuse-db")
START_TIMEOUT_S = 30.0

CONFIGURATION = """[databases]
* = host={host} port={database_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 6
max_client_conn = 200
ignore_startup_parameters = extra_float_digits,options
server_reset_query_always = 0
server_login_retry = 1
log_connections = 0
log_disconnections = 0
"""


@contextmanager
def pgbouncer(database_url: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer in front of a server, and give the URL that leads through it."""
    parts = urlsplit(database_url)
    port = free_port()
    folder.mkdir(exist_ok=True)
    (folder / "users").write_text(f'"{parts.username}" "{parts.password}"\n')
    (folder / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            host=parts.hostname, database_port=parts.port, port=port, folder=folder
        )
    )
    process = Process(
        "pgbouncer",
        [ensure_tool(PGBOUNCER), folder / "pgbouncer.ini"],
        output=folder / "pgbouncer.log",
        # It refuses root.
        user=server_user(),
    )
    process.start()
    try:
        await_port(port)
        yield database_url.replace(f":{parts.port}/", f":{port}/")
    finally:
        process.stop()


def await_port(port: int) -> None:
    """Wait until somebody listens. Raises LaunchError."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with closing(socket.socket()) as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise LaunchError(f"PgBouncer does not listen after {START_TIMEOUT_S:.0f} s.")


def main(arguments: list[str]) -> int:
    """Run tests through a pooler, and return pytest's status."""
    is_whole = arguments[:1] == ["--stack"]
    given = arguments[1:] if is_whole else arguments
    tests, options, variable = (
        (given or STACK_TESTS, STACK_OPTIONS, STACK_DATABASE)
        if is_whole
        else (given or TESTS, OPTIONS, "DATABASE_URL")
    )
    with tempfile.TemporaryDirectory(prefix="tokenproxy-pooler-") as name:
        folder = Path(name)
        # For whom PgBouncer runs as.
        folder.chmod(0o755)
        with (
            Postgres(folder / "postgres", durable=False) as postgres,
            pgbouncer(postgres.url, folder) as url,
        ):
            command = [sys.executable, "-m", "pytest", *options, *tests]
            environ = os.environ | {variable: url}
            return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LaunchError as error:
        sys.exit(f"error: {error}")
