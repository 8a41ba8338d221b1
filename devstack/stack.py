"""The whole product, running: services, sandboxes, web, worker and beat, under one owner.

`make run` and the tests that need everything share this. Nothing outlives the process that
started it; a folder that a killed one left behind can be started again, with its data.
"""

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from devstack.environment import (
    ROOT,
    SETTINGS,
    child_environment,
    closed,
    product_settings,
    without_product_settings,
    write_env,
)
from devstack.errors import LaunchError
from devstack.plan import Command, Plan, Planner, manage, product_plan
from devstack.pooler import pgbouncer
from devstack.postgres import Postgres
from devstack.process import Process
from devstack.ready import await_ok, await_port
from devstack.sentinel import SentinelService
from devstack.site import Site, choose_site
from devstack.valkey import Valkey

# Migrations on a slow, cold machine.
SETUP_TIMEOUT_S = 180.0
# The product's wallets are in so many shards.
SHARDS = 16


class Stack:
    """One running product whose data live in one folder.

    `environ` is what the product may see of the outside; settings in it win over generated ones,
    and a DATABASE_URL or REDIS_URL in it is used instead of an embedded service. By default it is
    this process's environment without any of the product's settings. `output` gets every line of
    every child with its name; by default each child has a file under `log/`. The wallets are spread
    over as many servers of Redis as there are `nodes`; with `has_sentinel` they are in one that has
    a replica and a Sentinel. With `has_pooler` the embedded PostgreSQL is reached through
    PgBouncer. `on_exit` is called, in another thread, when a child that should run has ended.
    `run_env` is a file to leave the settings in.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environ: Mapping[str, str] | None = None,
        durable: bool = False,
        webs: int = 1,
        nodes: int = 1,
        has_pooler: bool = False,
        has_sentinel: bool = False,
        host: str = "127.0.0.1",
        port: int | None = None,
        output: Callable[[str, str], None] | None = None,
        on_exit: Callable[[Process], None] | None = None,
        planner: Planner = product_plan,
        run_env: Path | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.host = host
        self._webs = webs
        self._nodes = nodes
        self._has_pooler = has_pooler
        self._has_sentinel = has_sentinel
        self._open = ExitStack()
        self._port = port
        self._output = output
        self._on_exit = on_exit
        self._planner = planner
        self._run_env = run_env
        outside = without_product_settings(os.environ) if environ is None else dict(environ)
        self._given = product_settings(outside)
        self._outside = without_product_settings(outside)
        self._durable = durable
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None
        # All of them, the first of which is `valkey`.
        self.valkeys: list[Valkey] = []
        # Instead of them, a primary with its replica.
        self.sentinel: SentinelService | None = None
        self.web: list[Process] = []
        self.background: list[Process] = []
        self.sandboxes: list[Process] = []
        self._site: Site | None = None
        self.env: dict[str, str] = {}
        self.seed_output = ""
        self._is_stopping = False

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # For tests.

    @property
    def site(self) -> Site:
        """Raises RuntimeError before the first start."""
        if self._site is None:
            raise RuntimeError("the stack was never started")
        return self._site

    @property
    def url(self) -> str:
        return self.site.url

    @property
    def web_urls(self) -> list[str]:
        """One per web process, in the order of `web`."""
        return self.site.web_urls

    @property
    def stripe_url(self) -> str:
        return self.site.stripe_url

    @property
    def upstream_url(self) -> str:
        return self.site.upstream_url

    @property
    def mail_url(self) -> str:
        return self.site.mail_url

    @property
    def worker(self) -> Process:
        return self.child("worker")

    @property
    def beat(self) -> Process:
        return self.child("beat")

    @property
    def stripe(self) -> Process:
        return self.child("stripe")

    @property
    def upstream(self) -> Process:
        return self.child("upstream")

    def child(self, name: str) -> Process:
        """Raises KeyError if the stack has no child of that name."""
        return {process.name: process for process in self._children()}[name]

    def manage(self, *arguments: str, timeout_s: float = 120.0, is_owner: bool = False) -> str:
        """Run a management command and return what it printed. Raises LaunchError if it fails.

        As the owner of the tables, PostgreSQL lets it do anything.
        """
        owner = self.env["DATABASE_OWNER_URL"] if is_owner else ""
        done = subprocess.run(
            manage(*arguments),
            env={**self.env, "DATABASE_URL": owner or self.env["DATABASE_URL"]},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0:
            raise LaunchError(
                f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n"
                f"{done.stdout}{done.stderr}"
            )
        return done.stdout

    # Starting.

    def start(self) -> None:
        """Start everything and wait until `/readyz` says 200. On failure, nothing stays behind.

        Raises LaunchError or IsLocked.
        """
        self._is_stopping = False
        try:
            for name in ("log", "journal", "sandbox/stripe"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self._site = choose_site(
                self.folder, host=self.host, port=self._port, webs=self._webs, given=self._given
            )
            plan = self._planner(self._site)
            self._start_services(plan)
            self._write_run_env()
            for command in plan.setup:
                self._run(command)
            if self.postgres and plan.roles:
                self._run(plan.roles)
            if len(self.valkeys) > 1:
                self._run(Command("move-shards", manage("move_shards")))
            self._start_servers(plan)
        except BaseException:
            self.stop()
            raise

    def await_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until every web process says that it is ready. Raises LaunchError."""
        for url in self.web_urls:
            await_ok(f"{url}/readyz", needs=[*self.web, *self.background], timeout_s=timeout_s)

    def _start_services(self, plan: Plan) -> None:
        """Start what needs nothing else, all at once, and complete the settings."""
        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(self._start_postgres), pool.submit(self._start_valkey)]
            self.env = self._environment({})
            self.sandboxes = [self._new_process(command) for command in plan.sandboxes]
            for command, process in zip(plan.sandboxes, self.sandboxes, strict=True):
                jobs.append(pool.submit(self._start_server, command, process))
        for job in jobs:
            job.result()
        self.env = self._environment(self._service_urls(has_roles=plan.roles is not None))
        if self._has_pooler:
            pooled = self._open.enter_context(
                pgbouncer(self.env["DATABASE_URL"], self.folder / "pooler")
            )
            self.env["DATABASE_URL"] = pooled

    def _start_postgres(self) -> None:
        if "DATABASE_URL" not in self._given:
            self.postgres = Postgres(
                self.folder / "postgres",
                durable=self._durable,
                on_exit=self._note_exit,
                say=self._say_for("postgres"),
            )
            self.postgres.start()

    def _start_valkey(self) -> None:
        if "REDIS_URL" in self._given:
            return
        if self._has_sentinel:
            self.sentinel = SentinelService(
                self.folder, durable=self._durable, on_exit=self._note_exit
            )
            self.sentinel.start()
        else:
            self.valkeys = [self._new_valkey(number) for number in range(self._nodes)]
            self.valkey = self.valkeys[0]
            for valkey in self.valkeys:
                valkey.start()

    def _new_valkey(self, number: int) -> Valkey:
        folder = self.folder / ("valkey" if number == 0 else f"valkey{number + 1}")
        return Valkey(
            folder,
            durable=self._durable,
            on_exit=self._note_exit,
            say=self._say_for(folder.name),
        )

    def _service_urls(self, *, has_roles: bool) -> dict[str, str]:
        urls = {}
        if self.postgres:
            urls["DATABASE_URL"] = self.postgres.url
            if has_roles:
                urls["DATABASE_URL"] = self.postgres.serving_url
                urls["DATABASE_OWNER_URL"] = self.postgres.url
        if self.sentinel:
            urls["REDIS_URL"] = self.sentinel.url_of(0)
            urls["CELERY_BROKER_URL"] = self.sentinel.url_of(1)
        if self.valkey:
            urls["REDIS_URL"] = self.valkey.url
            urls["CELERY_BROKER_URL"] = self.valkey.broker_url
        if len(self.valkeys) > 1:
            urls["REDIS_SHARDS"] = ",".join(
                f"{shard}={self.valkeys[shard % len(self.valkeys)].url}" for shard in range(SHARDS)
            )
        return urls

    def _environment(self, service_urls: Mapping[str, str]) -> dict[str, str]:
        settings = closed({**self.site.settings, **service_urls})
        return child_environment({**self._outside, **settings}, folder=self.folder)

    def _write_run_env(self) -> None:
        """Leave the settings for `manage.py` in other shells, if told where."""
        if self._run_env is not None:
            write_env(self._run_env, {name: self.env[name] for name in SETTINGS})

    def _start_server(self, command: Command, process: Process) -> None:
        process.start()
        if command.port is not None:
            await_port(process, command.port)

    def _start_servers(self, plan: Plan) -> None:
        self.web = [self._new_process(command) for command in plan.web]
        self.background = [self._new_process(command) for command in plan.background]
        for process in [*self.web, *self.background]:
            process.start()
        if plan.seed:
            self.seed_output = self._run(plan.seed)
        self.await_ready()

    def _run(self, command: Command) -> str:
        """Run a command to its end and return what it said. Raises LaunchError if it fails."""
        lines: list[str] = []
        process = self._new_process(command, output=lines.append)
        process.on_exit = None
        process.start()
        try:
            code = process.wait(SETUP_TIMEOUT_S)
        except BaseException as error:
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise LaunchError(f"{command.name} took over {SETUP_TIMEOUT_S:g} s.") from error
            raise
        said = "\n".join(lines)
        if code != 0:
            raise LaunchError(f"{command.name} ended with {code}:\n{said[-5000:]}")
        return said

    def _new_process(
        self, command: Command, output: Callable[[str], None] | None = None
    ) -> Process:
        return Process(
            command.name,
            command.argv,
            output=output or self._output_of(command.name),
            env=self.env,
            cwd=ROOT,
            stop_timeout_s=command.stop_timeout_s,
            on_exit=self._note_exit,
        )

    def _say_for(self, name: str) -> Callable[[str], None] | None:
        return None if self._output is None else partial(self._output, name)

    def _output_of(self, name: str) -> Callable[[str], None] | Path:
        show = self._output
        if show is None:
            return self.folder / "log" / f"{name}.log"
        return lambda line: show(name, line)

    def _note_exit(self, process: Process) -> None:
        if self._on_exit is not None and not self._is_stopping:
            self._on_exit(process)

    # Stopping.

    def stop(self) -> None:
        """Stop everything in order, each within its time. Safe to repeat.

        Web first, which finishes what it serves and still needs all the rest for that.
        """
        self._is_stopping = True
        stop_all(self.web)
        stop_all(self.background)
        stop_all(self.sandboxes)
        self._open.close()
        for service in (*self.valkeys, self.sentinel, self.postgres):
            if service is not None:
                service.stop()

    def _children(self) -> list[Process]:
        return [*self.web, *self.background, *self.sandboxes]


def stop_all(processes: Iterable[Process]) -> None:
    """Stop processes at the same time and wait for all."""
    with ThreadPoolExecutor() as pool:
        for job in [pool.submit(process.stop) for process in processes]:
            job.result()
