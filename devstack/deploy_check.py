"""`make deploy-check`: check the files in `deploy/` as the programs that read them would.

The schemas of Kubernetes and Compose come with Python packages, which are installed under
`var/deploy-check` as `requirements-deploy.txt` pins them. systemd reads its units, and Prometheus
its rules. A tool that is missing and can't be installed is named, and the check fails.
"""

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

from devstack.environment import ROOT
from devstack.errors import LaunchError
from devstack.tools import Tool, ensure_tool

DEPLOY = ROOT / "deploy"
REQUIREMENTS = ROOT / "requirements-deploy.txt"
FOLDER = ROOT / "var" / "deploy-check"
SYSTEMD_ANALYZE = Tool(("systemd-analyze",), "systemd", "the check of systemd's units")
PROMTOOL = Tool(("promtool",), "prometheus", "the check of Prometheus' rules")
SYSTEMD_UNITS = Path("/lib/systemd/system")
# The units and the program that they start, below a root of their own.
UNITS = Path("etc/systemd/system")
PROGRAM = Path("opt/tokenproxy/deploy/run")
INSTANCE = "8001"


def check_kubernetes() -> None:
    """Read every manifest strictly: a key that Kubernetes does not know is an error."""
    manifests = sorted(map(str, (DEPLOY / "kubernetes").glob("*.yaml")))
    run([str(installed("kubernetes-validate")), "--strict", "--quiet", *manifests])


def check_compose() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    run([str(installed("check-jsonschema")), *schema, str(DEPLOY / "compose.yaml")])


def check_systemd() -> None:
    """Have systemd load every unit with its drop-ins. Any output is an error."""
    analyze = ensure_tool(SYSTEMD_ANALYZE)
    root = lay_out_units()
    units = [path.name.replace("@.", f"@{INSTANCE}.") for path in find_units()]
    done = subprocess.run(
        [analyze, "verify", "--man=no", f"--root={root}", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    if done.returncode or said:
        raise LaunchError(said or f"systemd-analyze ended with {done.returncode}")


def check_prometheus() -> None:
    """Have promtool read configuration and rules, and test that each fires and is quiet."""
    promtool = ensure_tool(PROMTOOL)
    folder = DEPLOY / "prometheus"
    run([promtool, "check", "config", "--syntax-only", str(folder / "prometheus.yaml")])
    run([promtool, "test", "rules", str(folder / "alerts.test.yaml")])


CHECKS: tuple[Callable[[], None], ...] = (
    check_kubernetes,
    check_compose,
    check_systemd,
    check_prometheus,
)


def find_units() -> list[Path]:
    folder = DEPLOY / "systemd"
    return sorted([*folder.glob("*.service"), *folder.glob("*.target")])


def lay_out_units() -> Path:
    """Make a root in which the units and what they start are where they are on a server."""
    root = FOLDER / "root"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(DEPLOY / "systemd", root / UNITS)
    (root / PROGRAM).parent.mkdir(parents=True)
    shutil.copy(DEPLOY / "run", root / PROGRAM)
    # The targets that every unit follows.
    shutil.copytree(SYSTEMD_UNITS, root / "lib/systemd/system", symlinks=True)
    return root


def installed(program: str) -> Path:
    """Return a program of the environment, after installing what the lock file says."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    stamp = FOLDER / "stamp"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("Installing the schemas under var/deploy-check …", flush=True)
        shutil.rmtree(FOLDER, ignore_errors=True)
        venv.create(FOLDER / "venv", with_pip=True)
        quiet = ["--quiet", "--no-deps", "--disable-pip-version-check"]
        pip = [str(FOLDER / "venv/bin/python"), "-m", "pip", "install", *quiet]
        if subprocess.run([*pip, "--require-hashes", "-r", REQUIREMENTS], check=False).returncode:
            raise LaunchError("the schemas could not be installed; that needs the network once")
        stamp.write_text(wanted)
    return FOLDER / "venv" / "bin" / program


def run(command: list[str]) -> None:
    """Run a check. Raises LaunchError if it finds something."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise LaunchError(f"{Path(command[0]).name} found something")


def failures() -> Iterator[str]:
    """Run every check; yield the name of each that finds an error or can't be run."""
    for check in CHECKS:
        name = check.__name__.removeprefix("check_")
        try:
            check()
        except LaunchError as error:
            print(f"error: {error}", file=sys.stderr)
            print(f"--- {name}: FAILED", flush=True)
            yield name
        else:
            print(f"--- {name}: ok", flush=True)


def main() -> int:
    failed = list(failures())
    if failed:
        print(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
