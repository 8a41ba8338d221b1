"""The process itself: its command line, and what survives a kill."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox.stripe.driver import API_KEY, PATIENCE_S, WEBHOOK_SECRET, Client, order

GOOD = {
    "--api-key": API_KEY,
    "--webhook-secret": WEBHOOK_SECRET,
    "--webhook-url": "http://127.0.0.1:9/hook",
}


def command(tmp_path: Path, port: int, **changes: str | None) -> list[str]:
    named = {**GOOD, **{f"--{name.replace('_', '-')}": value for name, value in changes.items()}}
    options = [text for name, value in named.items() if value is not None for text in (name, value)]
    base = [sys.executable, "-m", "sandbox.stripe", "--port", str(port)]
    return [*base, "--data-dir", str(tmp_path / "data"), *options]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Process:
    """`python -m sandbox.stripe`, waited for until it serves."""

    def __init__(self, arguments: list[str], port: int) -> None:
        # Its environment has no Stripe settings that would replace a missing option.
        self.popen = subprocess.Popen(arguments, env={}, stderr=subprocess.DEVNULL)
        self.client = Client(f"http://127.0.0.1:{port}", API_KEY)
        # A refused connection is tried again, with a pause, until the process listens.
        options = {"max_network_retries": 8}
        self.client.stripe.v1.balance.retrieve(None, options)  # type: ignore[arg-type]

    def end(self, how: signal.Signals) -> None:
        self.client.close()
        self.popen.send_signal(how)
        self.popen.wait(PATIENCE_S)


def test_it_keeps_everything_when_it_is_killed(tmp_path: Path) -> None:
    port = free_port()
    before = Process(command(tmp_path, port), port)
    session = before.client.sessions.create(order(), {"idempotency_key": "order-7"})
    before.end(signal.SIGKILL)

    after = Process(command(tmp_path, port), port)
    kept = after.client.sessions.retrieve(session.id)
    again = after.client.sessions.create(order(), {"idempotency_key": "order-7"})
    after.end(signal.SIGTERM)

    assert kept.url == f"http://127.0.0.1:{port}/c/pay/{session.id}"
    assert again.id == session.id


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("api_key", "sk_live_a_key_with_real_money"),
        ("api_key", None),
        ("webhook_secret", ""),
        ("webhook_secret", "secret"),
        ("webhook_url", "/billing/stripe/webhook"),
        ("public_url", "localhost"),
    ],
)
def test_it_refuses_to_start_with_a_bad_option_and_names_it(
    tmp_path: Path, option: str, value: str | None
) -> None:
    finished = subprocess.run(
        command(tmp_path, free_port(), **{option: value}),
        env={},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert finished.returncode == 2
    assert f"--{option.replace('_', '-')}" in finished.stderr.splitlines()[-1]
    assert not (tmp_path / "data").exists()
