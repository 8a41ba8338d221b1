"""`make first-day-test`: run the first day of `docs/operations.md` on a machine with nothing on it.

The commands are the page's own, one after another in one shell, as root in a copy of this machine's
files that is thrown away, with an empty home and a network of its own. Packages are Debian's, from
its registry; the product is cloned from the last commit; Stripe, provider and mail are the
sandboxes. What stands in for something is named beside its command.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devstack.environment import ROOT
from devstack.errors import LaunchError
from devstack.tools import Tool, ensure_tool
from tests.edge.servers import NAME, make_certificate
from tests.first_day.page import read_blocks
from tests.first_day.steps import (
    MAIL,
    SMTP,
    STRIPE,
    STRIPE_KEY,
    UPSTREAM,
    UPSTREAM_KEY,
    WEBHOOK_SECRET,
    Step,
    make_steps,
)

PAGE = ROOT / "docs" / "operations.md"
HERE = Path(__file__).parent
TOOLS = (
    Tool(("ip",), "iproute2", "the first day"),
    Tool(("unshare",), "util-linux", "the first day"),
)
WITHIN_S = 900.0
SETTINGS = f"""
SITE_URL=https://{NAME}
STRIPE_API_BASE=http://127.0.0.1:{STRIPE}
STRIPE_CHECKOUT_ORIGINS=http://127.0.0.1:{STRIPE}
ALLOW_LOOPBACK_PROVIDERS=1
"""
HOSTS = f"127.0.0.1 localhost {NAME}\n::1 localhost\n"
# One shell for all commands, which change its folder.
DRIVER = """cd /root
for step in /first-day/steps/*.sh; do
    number=$(basename "$step" .sh)
    began=$EPOCHREALTIME
    source "$step" < "/first-day/steps/$number.in" > "/first-day/log/$number.log" 2>&1
    echo "$number $? $began $EPOCHREALTIME"
done
"""


@dataclass(frozen=True)
class Done:
    """How a step ended, and its last words."""

    step: Step
    code: int
    seconds: float
    said: str

    @property
    def is_good(self) -> bool:
        return self.code == 0 and self.step.says in self.said


def prepare(folder: Path) -> list[Step]:
    """Lay out what the machine is given, and return the steps."""
    shared = folder / "shared"
    for name in ("layers", "shared/log", "shared/steps", "mail", "stripe"):
        (folder / name).mkdir(parents=True)
    clone = ["git", "clone", "--quiet", "--bare", "--depth=1", f"file://{ROOT}"]
    subprocess.run([*clone, str(shared / "repository")], check=True)
    make_certificate(shared)
    shutil.copytree(HERE / "inside", shared / "inside")
    (shared / "settings").write_text(SETTINGS)
    (shared / "hosts").write_text(HOSTS)
    (shared / "driver").write_text(DRIVER)
    customer = f"{sys.executable} -m tests.first_day.customer {shared}/cert.pem {shared}/secret"
    click = f"nsenter --target 1 --root sh -c 'cd {ROOT} && exec {customer}'"
    steps = list(make_steps(read_blocks(PAGE.read_text()), click=click))
    for number, step in enumerate(steps, start=1):
        (shared / "steps" / f"{number:02}.sh").write_text(f"{step.run}\n")
        (shared / "steps" / f"{number:02}.in").write_text(step.typed)
    return steps


def run(folder: Path, steps: list[Step]) -> Iterator[Done]:
    """Run the steps until one fails. Nothing that they started outlives it."""
    enter = ["sh", str(HERE / "enter.sh"), "begin", str(folder)]
    # All processes go with the first of them, and it with us.
    alone = [
        "unshare",
        "--mount",
        "--pid",
        "--ipc",
        "--uts",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    process = subprocess.Popen(
        [*alone, "--kill-child", *enter],
        cwd=ROOT,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + WITHIN_S
    try:
        assert process.stdout is not None
        for step, line in zip(steps, process.stdout, strict=False):
            number, code, began, ended = line.split()
            said = (folder / "shared" / "log" / f"{number}.log").read_text(errors="replace")
            done = Done(step, int(code), float(ended) - float(began), said)
            yield done
            if not done.is_good or time.monotonic() > deadline:
                return
    finally:
        process.kill()
        process.wait()


def environment(folder: Path) -> dict[str, str]:
    """Return what the shell may know of this machine: how it reaches the registries."""
    reaching = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name.lower().endswith("_proxy")
    }
    python = sys.executable
    stripe = (
        f"{python} -m sandbox.stripe --port {STRIPE} --data-dir {folder}/stripe"
        f" --api-key {STRIPE_KEY} --webhook-secret {WEBHOOK_SECRET}"
        f" --webhook-url https://{NAME}/billing/stripe/webhook"
        f" --public-url http://127.0.0.1:{STRIPE}"
    )
    upstream = f"{python} -m sandbox.upstream --port {UPSTREAM} --api-key {UPSTREAM_KEY}"
    mail = f"{python} -m sandbox.mail --port {MAIL} --smtp-port {SMTP} --data-dir {folder}/mail"
    return {
        **reaching,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "SANDBOX_STRIPE": stripe,
        "SANDBOX_UPSTREAM": upstream,
        "SANDBOX_MAIL": mail,
    }


def show(done: Done) -> str:
    """Return a row: seconds, the command's first line, what stood in for something."""
    command, _, more = done.step.shown.partition("\n")
    note = f"  [{done.step.stand_in}]" if done.step.stand_in else ""
    return f"{done.seconds:7.1f} s  {command[:90].rstrip()}{' …' if more else ''}{note}"


def tell_failure(folder: Path, failed: Done) -> None:
    """Print what the failed command said, and the services' last words."""
    print(f"error: it ended with {failed.code} and said:\n{failed.said[-4000:]}")
    for path in sorted((folder / "shared" / "log").glob("*.service.log")):
        print(f"--- {path.stem}\n{path.read_text(errors='replace')[-1500:]}")


def main() -> int:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise LaunchError("The first day needs root on Linux: it makes namespaces of its own.")
    for tool in TOOLS:
        ensure_tool(tool)
    began = time.monotonic()
    good = 0
    with tempfile.TemporaryDirectory(prefix="first-day-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        steps = prepare(folder)
        for done in run(folder, steps):
            print(show(done), flush=True)
            good += done.is_good
            if not done.is_good:
                tell_failure(folder, done)
    seconds = time.monotonic() - began
    print(f"{good} passed of {len(steps)} commands of the first day, in {seconds:.0f} s")
    return 0 if good == len(steps) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LaunchError as error:
        sys.exit(f"error: {error}")
