"""What can happen to Redis, done for real: killed, restarted, flushed, replaced by an older one."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from billing.wallet.sync_client import get_sync_client
from devstack.valkey import Valkey


@dataclass
class RedisFaults:
    """Breaks this test run's own Valkey and puts it back up."""

    server: Valkey
    backup: Path

    def kill_and_restart(self) -> None:
        wait_for_whole_file()
        self.server.kill()
        self.server.start()

    def flush(self) -> None:
        get_sync_client().redis.flushall()

    def back_up(self) -> None:
        """Remember the append-only file as it is now."""
        wait_for_whole_file()
        shutil.rmtree(self.backup, ignore_errors=True)
        shutil.copytree(self.server.data, self.backup)

    def rewind(self) -> None:
        """Come back from a crash with the append-only file of the last back-up."""
        self.server.kill()
        shutil.rmtree(self.server.data)
        shutil.copytree(self.backup, self.server.data)
        self.server.start()

    def lose_everything(self) -> None:
        """Come back on an empty disk, without even the function library."""
        self.server.kill()
        shutil.rmtree(self.server.data)
        self.server.start()


@contextmanager
def full_redis() -> Iterator[None]:
    """Let Redis have no room: what only ends or reads goes on, pushes and debits are refused."""
    redis = get_sync_client().redis
    redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


def wait_for_whole_file() -> None:
    """Wait until the append-only file is whole: it is written anew once it is switched on again."""
    until = time.monotonic() + 10
    redis = get_sync_client().redis
    while time.monotonic() < until:
        info = redis.info("persistence")
        if not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]:
            return
        time.sleep(0.01)
    raise TimeoutError("The append-only file is still being written anew.")
