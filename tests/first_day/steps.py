"""What is run for each command of the page, what is typed, and what stands in for what."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.edge.servers import NAME

STRIPE, UPSTREAM, MAIL, SMTP = 9101, 9102, 9103, 9104
STRIPE_KEY, WEBHOOK_SECRET = "sk_test_of_the_first_day", "whsec_of_the_first_day"
UPSTREAM_KEY = "sk-of-the-first-day"
PASSWORD = "correct horse battery staple 9"
# Where the first paid call's key is left.
SECRET = "/first-day/secret"

# What the page leaves to its reader.
PLACEHOLDERS = {
    "REPOSITORY": "file:///first-day/repository",
    "sk_live_…": STRIPE_KEY,
    "whsec_…": WEBHOOK_SECRET,
    "smtp+tls://USER:PASSWORD@HOST:587": f"smtp://127.0.0.1:{SMTP}",
    "YOUR.NAME": NAME,
    "YOU@EXAMPLE.COM": "owner@example.com",
    "https://api.openai.com/v1": f"http://127.0.0.1:{UPSTREAM}/v1",
    "tp_…": f"$(cat {SECRET})",
}
MANAGE = re.compile(r"^manage ")
# These reach package registries; all others have a network of their own, in which every port is
# free and nothing is reached but the sandboxes.
NEEDS_NETWORK = re.compile(r"^apt-get|^\.venv/bin/pip ")
OUTSIDE = "nsenter --target 1 --net bash -c {}"
# As Debian's packages do where systemd runs.
START_POSTGRESQL = (
    "version=$(ls /usr/lib/postgresql | tail -n 1)\n"
    '[ -e "/etc/postgresql/$version/main" ] || pg_createcluster "$version" main\n'
    'pg_ctlcluster "$version" main start'
)
# Clicks at the desk, and a customer's in a browser.
MAKE_PACK = (
    "from billing.models import Pack; Pack.objects.create("
    "name='First', slug='first', credits=1000000, price_cents=500)"
)
STAND_INS = (
    (r"^apt-get install", "Debian's PostgreSQL is then started, as it is under systemd"),
    (r"\bsystemctl\b", "a stand-in reads the units and starts them; it confines nothing"),
    (r"^certbot", "a certificate of the test's own"),
    (r"^editor", "the sandbox's addresses are written into the file"),
    (r"^git clone", "from the last commit here"),
    (r"createsuperuser", "the password is typed at a terminal"),
    (r"add_provider", "the provider is the sandbox, whose key is typed"),
)


@dataclass(frozen=True)
class Step:
    """A command as the page has it, and what is run for it in one shell with all others."""

    shown: str
    run: str
    typed: str = ""
    stand_in: str = ""
    # What it must print.
    says: str = ""


def make_steps(blocks: list[list[str]], *, click: str) -> Iterator[Step]:
    """Yield the first day. `click` is run where the page has the reader click.

    Raises ValueError if not four blocks of the page are marked.
    """
    if len(blocks) != 4:
        raise ValueError(f"{len(blocks)} blocks are marked `sh first-day`, 4 were expected")
    setup, sale, call, renewal = blocks
    yield from map(make_step, setup)
    yield from map(make_step, sale)
    shell = f"tokenproxy shell --no-imports --command {shlex.quote(MAKE_PACK)}"
    yield Step("(a pack, at the desk)", shell, stand_in="made in a shell")
    bought = "a customer's forms are sent, and Stripe is the sandbox"
    yield Step("(sign up, buy it, take a key)", click, stand_in=bought)
    yield from map(make_step, call)
    yield from map(make_step, renewal)


def make_step(command: str) -> Step:
    """Fill in what the page leaves to its reader."""
    run = command
    for left, filled in PLACEHOLDERS.items():
        run = run.replace(left, filled)
    run = MANAGE.sub("tokenproxy ", run)
    typed, says = "", ""
    if NEEDS_NETWORK.search(run):
        run = OUTSIDE.format(shlex.quote(run))
    if command.startswith("apt-get install"):
        run += f" && {{\n{START_POSTGRESQL}\n}}"
    if "createsuperuser" in run:
        run = f"typist {shlex.quote(PASSWORD)} {run}"
    if "--api-key-file -" in run:
        typed = f"{UPSTREAM_KEY}\n"
    if "/v1/chat/completions" in run:
        says = '"choices"'
    if "audit_money" in run:
        says = "Every invariant holds"
    found = [what for pattern, what in STAND_INS if re.search(pattern, command)]
    return Step(command, run, typed, "; ".join(found), says)
