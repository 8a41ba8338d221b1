"""The stack whose processes are victims: whatever dies is started again at once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.chaos.probes import HasUrl
from bench.chaos.victim import ORDERS_VARIABLE
from devstack.errors import LaunchError
from devstack.plan import Command, Plan, product_plan
from devstack.ready import await_port
from devstack.site import Site
from devstack.stack import Stack
from devstack.valkey import Valkey

# Shorter than a freeze: the reaper ends what a frozen process holds, before it wakes up.
HOLD_LEASE_S = 8
POLL_S = 0.05
# A process that ends as soon as it has started is not started more often than this.
RESTART_PAUSE_S = 0.5
# A strike waits for its victim so long; how soon the service is back is judged elsewhere.
UP_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended. Not killed: by its own hand, or that of a bug."""

    role: str
    at: float
    exit_code: int | None

    @property
    def was_killed(self) -> bool:
        return self.exit_code == -signal.SIGKILL


def victims_plan(site: Site) -> Plan:
    """The product's plan, with web, worker and beat able to die at named steps."""
    plan = product_plan(site)
    return replace(
        plan,
        web=[as_victim(command) for command in plan.web],
        background=[as_victim(command) for command in plan.background],
    )


def as_victim(command: Command) -> Command:
    """Start a `python -m MODULE …` as `python -m bench.chaos.victim ROLE MODULE …`."""
    python, flag, *module = command.argv
    if (python, flag) != (sys.executable, "-m"):
        raise LaunchError(f"{command.name} is not started by python -m: {command.argv}")
    return replace(command, argv=[python, "-m", "bench.chaos.victim", command.name, *module])


class House:
    """Owns the stack of one run. Called from several threads."""

    def __init__(
        self,
        folder: Path,
        *,
        webs: int,
        nodes: int = 1,
        has_pooler: bool = False,
        has_failover: bool = False,
    ) -> None:
        self.folder = folder
        self.orders = folder / "orders"
        self.orders.mkdir(parents=True, exist_ok=True)
        self.deaths: list[Death] = []
        # Where the present worker's words begin in its log.
        self._worker_log_at = 0
        self._restarting = threading.RLock()
        self._is_open = False
        environ = {
            **os.environ,
            ORDERS_VARIABLE: str(self.orders),
            "HOLD_LEASE_S": str(HOLD_LEASE_S),
            "CUSTOMER_REFUND_DAYS": "14",
        }
        self.stack = Stack(
            folder,
            environ=environ,
            durable=True,
            webs=webs,
            nodes=nodes,
            has_pooler=has_pooler,
            has_sentinel=has_failover,
            on_exit=self._note_exit,
            planner=victims_plan,
        )

    def open(self) -> None:
        """Start everything. Raises LaunchError."""
        self.stack.start()
        self._is_open = True

    def close(self) -> None:
        """Stop everything. Safe to repeat."""
        self._is_open = False
        with self._restarting:
            self.stack.stop()

    @property
    def web_roles(self) -> list[str]:
        return [process.name for process in self.stack.web]

    def _note_exit(self, process: object) -> None:
        """Called by the launcher, in a thread of its own, for every process that ends."""
        role = getattr(process, "name", "")
        if not self._is_open or role in {"postgres", "valkey", "sentinel", "pgbouncer"}:
            return
        child = self.stack.child(role)
        if role == "worker":
            self._worker_log_at = (self.folder / "log" / "worker.log").stat().st_size
        end_group(child.pid)
        self.deaths.append(Death(role, time.monotonic(), child.exit_code))
        if not self.deaths[-1].was_killed:
            time.sleep(RESTART_PAUSE_S)
        with self._restarting:
            if self._is_open:
                child.start()

    # What strikes use.

    @property
    def servers(self) -> Sequence[HasUrl]:
        """The servers of the wallets; behind a Sentinel, whichever is the primary."""
        return [self.stack.sentinel] if self.stack.sentinel else self.stack.valkeys

    def redis(self, number: int) -> Valkey:
        """Return a server of Redis, counted from 1; behind a Sentinel, the present primary."""
        sentinel = self.stack.sentinel
        return sentinel.primary if sentinel else self.stack.valkeys[number - 1]

    def bring_back(self, valkey: Valkey) -> None:
        """Start a server of Redis that was killed, behind a Sentinel as what it is to be now."""
        if self.stack.sentinel:
            self.stack.sentinel.start_again(valkey)
        else:
            valkey.start()

    def kill(self, role: str) -> None:
        """End a process and all that it started, as the kernel would: at once."""
        end_group(self.stack.child(role).pid)

    def count_deaths(self, role: str) -> int:
        return sum(death.role == role for death in self.deaths)

    def await_up(self, role: str, *, after_deaths: int) -> None:
        """Wait for a process that died after that many deaths, until it serves or works again.

        Raises LaunchError if that takes too long.
        """
        deadline = time.monotonic() + UP_TIMEOUT_S
        while self.count_deaths(role) <= after_deaths or not self.stack.child(role).is_running:
            if time.monotonic() > deadline:
                raise LaunchError(f"{role} did not die and come back in {UP_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)
        if role.startswith("web"):
            self._await_web(role, deadline)
        elif role == "worker":
            self._await_worker(deadline)

    def _await_web(self, role: str, deadline: float) -> None:
        port = self.stack.site.web_ports[self.web_roles.index(role)]
        while True:
            try:
                await_port(self.stack.child(role), port, timeout_s=deadline - time.monotonic())
            except LaunchError:
                # Killed once more, by a fault of Redis that takes the web processes with it.
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)
            else:
                return

    def _await_worker(self, deadline: float) -> None:
        """A worker that is killed while it starts up would prove little."""
        log = self.folder / "log" / "worker.log"
        while time.monotonic() < deadline:
            with log.open("rb") as lines:
                lines.seek(self._worker_log_at)
                if b" ready." in lines.read():
                    return
            time.sleep(POLL_S)
        raise LaunchError(f"the worker is not ready after {UP_TIMEOUT_S:.0f} s")

    def run_script(self, module: str, given: str) -> str:
        """Run one of our scripts with the stack's settings. Raises LaunchError if it fails."""
        done = subprocess.run(
            [sys.executable, "-m", module],
            input=given,
            env=self.stack.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise LaunchError(f"{module} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        return done.stdout


def end_group(leader: int) -> None:
    """Send SIGKILL to a process and what it started; nobody may be left of them."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
