"""The commands of a stack. `product_plan` is the real plan; tests pass plans of their own."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from devstack.environment import ROOT
from devstack.site import Site

# The product ends and settles what it serves within its DRAIN_TIMEOUT_S and five seconds more.
# uvicorn's own time-out would cut streams before they are settled, so it comes behind that; it is
# there for a client of some page that has stopped reading.
UVICORN_TIMEOUT_S = 40
WEB_STOP_TIMEOUT_S = 45.0
# uvicorn closes an idle connection after 5 s, and httpx, which the official SDKs use, keeps one for
# just as long: a request that is sent while its connection closes is lost. 75 s is nginx's default.
WEB_KEEP_ALIVE_S = 75
# TRUSTED_PROXIES says whose X-Forwarded-For counts; uvicorn would believe this machine.
# The protocol is uvicorn's own with bounds on what a stranger may send.
WEB_FLAGS = (
    *("--no-access-log", "--no-proxy-headers"),
    *("--http", "proxy.http.protocol:BoundedProtocol"),
)
WEBHOOK_PATH = "/billing/stripe/webhook"


@dataclass(frozen=True)
class Command:
    """A child to start: its name, its arguments, and how to tell that it is ready."""

    name: str
    argv: list[str]
    # The port it listens on, if it serves.
    port: int | None = None
    stop_timeout_s: float = 10.0


@dataclass(frozen=True)
class Plan:
    """The commands of a stack, by the role that decides when each starts and stops."""

    # These need no database, start first, and are stopped after everything that may call them.
    sandboxes: list[Command]
    # Run to their end, one after another, before anything serves.
    setup: list[Command]
    # Runs to its end while the servers start; what it prints is shown to the user.
    seed: Command | None
    web: list[Command]
    # Stopped after the web processes.
    background: list[Command] = field(default_factory=list)
    # Makes the role that the product serves as; None: it serves as the owner of the tables.
    roles: Command | None = None


Planner = Callable[[Site], Plan]


def product_plan(site: Site) -> Plan:
    """TokenProxy: sandboxes, migrations, demo data, web, worker, beat."""
    sandboxes = []
    if site.has_stripe_sandbox:
        sandboxes.append(stripe_sandbox(site))
    if site.has_upstream_sandbox:
        sandboxes.append(upstream_sandbox(site))
    if site.has_mail_sandbox:
        sandboxes.append(mail_sandbox(site))
    return Plan(
        sandboxes=sandboxes,
        setup=[Command("migrate", manage("migrate", "--noinput", "--verbosity", "0"))],
        roles=Command("roles", manage("make_database_roles")),
        seed=Command("seed", manage("seed_demo")),
        web=[web(site, port, index) for index, port in enumerate(site.web_ports, start=1)],
        background=[worker(), beat(site)],
    )


def stripe_sandbox(site: Site) -> Command:
    options = {
        "--port": str(site.stripe_port),
        "--data-dir": str(site.folder / "sandbox" / "stripe"),
        "--api-key": site.settings["STRIPE_SECRET_KEY"],
        "--webhook-secret": site.settings["STRIPE_WEBHOOK_SECRET"].split(",")[0],
        "--webhook-url": site.url + WEBHOOK_PATH,
        "--public-url": site.stripe_url,
    }
    return Command("stripe", module("sandbox.stripe", options), port=site.stripe_port)


def upstream_sandbox(site: Site) -> Command:
    options = {
        "--port": str(site.upstream_port),
        "--api-key": site.settings["SANDBOX_UPSTREAM_KEY"],
    }
    return Command("upstream", module("sandbox.upstream", options), port=site.upstream_port)


def mail_sandbox(site: Site) -> Command:
    options = {
        "--port": str(site.mail_port),
        "--smtp-port": str(site.smtp_port),
        "--data-dir": str(site.folder / "sandbox" / "mail"),
    }
    return Command("mail", module("sandbox.mail", options), port=site.mail_port)


def web(site: Site, port: int, index: int) -> Command:
    options = {
        "--host": site.host,
        "--port": str(port),
        "--timeout-graceful-shutdown": str(UVICORN_TIMEOUT_S),
        "--timeout-keep-alive": str(WEB_KEEP_ALIVE_S),
    }
    argv = module("uvicorn", options, *WEB_FLAGS, "tokenproxy_site.asgi:application")
    name = "web" if len(site.web_ports) == 1 else f"web{index}"
    return Command(name, argv, port=port, stop_timeout_s=WEB_STOP_TIMEOUT_S)


def worker() -> Command:
    # Threads: the sweeps wait for PostgreSQL and Redis, and a killed worker leaves no children.
    options = {"--pool": "threads", "--concurrency": "2", "--loglevel": "info"}
    # Workers don't need to know of each other, and asking takes a second.
    alone = ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    argv = [*celery("worker", options), *alone]
    return Command("worker", argv, stop_timeout_s=15)


def beat(site: Site) -> Command:
    return Command("beat", celery("beat", {"-s": str(site.folder / "beat-schedule")}))


def celery(command: str, options: Mapping[str, str]) -> list[str]:
    return [*module("celery", {"-A": "tokenproxy_site"}), command, *flatten(options)]


def manage(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def module(name: str, options: Mapping[str, str], *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *flatten(options), *arguments]


def flatten(options: Mapping[str, str]) -> list[str]:
    return [part for option in options.items() for part in option]
