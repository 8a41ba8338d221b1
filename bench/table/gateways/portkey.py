"""Portkey's gateway, from npm: it forwards, and keeps no books."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.table.gateways.starting import (
    INSTALLED,
    UPSTREAM_KEY,
    Missing,
    Place,
    Running,
    run,
    start_server,
)
from devstack.errors import LaunchError
from devstack.ports import free_port
from devstack.tools import Tool, ensure_tool

PACKAGE, VERSION = "@portkey-ai/gateway", "1.15.2"
# With the newest releases of this one, which npm would take, 1.15.2 fails to stream.
NEEDED = {"@hono/node-server": "1.13.8"}
FOLDER = INSTALLED / "portkey"
NODE = Tool(("node", "nodejs"), "nodejs", "the comparison with Portkey")
NPM = Tool(("npm",), "npm", "the installation of Portkey")


@contextmanager
def start(place: Place) -> Iterator[Running]:
    """Serve with one process, told in headers where to forward to. Raises Missing."""
    try:
        node = ensure_tool(NODE)
        server = install()
    except LaunchError as error:
        raise Missing(str(error)) from error
    port = free_port()
    process = start_server(
        "portkey",
        [node, str(server), f"--port={port}", "--headless"],
        place=place,
        port=port,
        env={"NODE_ENV": "production"},
    )
    headers = {
        "Authorization": f"Bearer {UPSTREAM_KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{place.upstream_url}/v1",
    }
    try:
        yield Running(f"Portkey gateway {VERSION}", port, process.pid, headers)
    finally:
        process.stop()


def install() -> Path:
    """Return the server's file, after installing it if need be. Raises Missing, LaunchError."""
    server = FOLDER / "node_modules" / PACKAGE / "build" / "start-server.js"
    wanted = json.dumps({"dependencies": {PACKAGE: VERSION}, "overrides": NEEDED})
    asked = FOLDER / "package.json"
    if not server.exists() or asked.read_text() != wanted:
        FOLDER.mkdir(parents=True, exist_ok=True)
        asked.write_text(wanted)
        print(f"Installing {PACKAGE} {VERSION} under var/bench …", flush=True)
        quiet = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error"]
        run([ensure_tool(NPM), "install", *quiet], cwd=FOLDER)
    return server
