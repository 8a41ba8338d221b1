"""LiteLLM's proxy, from PyPI in an environment of its own: it forwards, without its database."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.table.gateways.starting import (
    INSTALLED,
    UPSTREAM_KEY,
    Place,
    Running,
    run,
    start_server,
)
from devstack.packages import as_uv_takes_it, read_pip_settings
from devstack.ports import free_port

VERSION = "1.108.7"
FOLDER = INSTALLED / "litellm"


@contextmanager
def start(place: Place) -> Iterator[Running]:
    """Serve with one process. Raises Missing."""
    program = install()
    configuration = place.folder / "litellm.yaml"
    # JSON is YAML.
    configuration.write_text(
        json.dumps({"model_list": [_model(name, place.upstream_url) for name in place.models]})
    )
    port = free_port()
    process = start_server(
        "litellm",
        [
            *(str(program), "--config", str(configuration), "--host", "127.0.0.1"),
            *("--port", str(port), "--num_workers", "1", "--telemetry", "False"),
        ],
        place=place,
        port=port,
        env={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            # Without a key of its own it has no one to check: it only forwards.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            "PATH": f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        },
    )
    try:
        headers = {"Authorization": f"Bearer {UPSTREAM_KEY}"}
        yield Running(f"LiteLLM proxy {VERSION}", port, process.pid, headers)
    finally:
        process.stop()


def _model(name: str, upstream_url: str) -> dict[str, object]:
    forwarded = {"model": f"openai/{name}", "api_base": f"{upstream_url}/v1"}
    return {"model_name": name, "litellm_params": {**forwarded, "api_key": UPSTREAM_KEY}}


def install() -> Path:
    """Return the program, after installing it if need be. Raises Missing."""
    stamp = FOLDER / "installed"
    if not stamp.exists() or stamp.read_text() != VERSION:
        print(f"Installing LiteLLM {VERSION} under var/bench …", flush=True)
        uv = [sys.executable, "-m", "uv", "--quiet", "--no-config"]
        settings = as_uv_takes_it(read_pip_settings(Path(sys.executable)))
        environ = {**settings, **os.environ}
        run([*uv, "venv", "--clear", "--python", sys.executable, str(FOLDER)], env=environ)
        python = str(FOLDER / "bin" / "python")
        # As pip does, take the best match of several registries.
        pip = [*uv, "pip", "install", "--index-strategy", "unsafe-best-match", "--python", python]
        run([*pip, f"litellm[proxy]=={VERSION}"], env=environ)
        stamp.write_text(VERSION)
    return FOLDER / "bin" / "litellm"
