"""Node's packages that a target needs, installed under `var/` as a `package-lock.json` pins them.

Lock files carry hashes and no addresses, so npm asks whichever registry it is set up with.
"""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from devstack.errors import LaunchError
from devstack.tools import Tool, ensure_tool

STAMP = "tokenproxy-stamp"
OLDEST_NODE = (18, 18)
NODE = Tool(("node", "nodejs"), "nodejs", "the checks that are Node's programs")
NPM = Tool(("npm",), "npm", "the installation of Node's packages")


def ensure_node() -> str:
    """Return where Node is. Raises LaunchError if it is missing, or too old for the packages."""
    node = ensure_tool(NODE)
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"v(\d+)\.(\d+)", shown)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_NODE:
        oldest = ".".join(map(str, OLDEST_NODE))
        raise LaunchError(f"{node} is {shown.strip()}; {oldest} or newer is needed")
    return node


def install_packages(source: Path, folder: Path) -> None:
    """Make the folder what the lock file beside `source`'s package.json says, if it is not.

    Raises LaunchError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*source.glob("*.js"), *source.glob("*.json")]:
        shutil.copy(path, folder)
    wanted = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing Node's packages under var/{folder.name} …", flush=True)
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    if subprocess.run([ensure_tool(NPM), "ci", *quiet], cwd=folder, check=False).returncode:
        raise LaunchError("npm could not install its packages; it needs the network once")
    stamp.write_text(wanted)
