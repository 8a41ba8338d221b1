"""The settings that the children get, and the files that keep them between starts.

The user's environment always wins; a secret that it does not set is generated once and kept in
`secrets.env`. `run.env` has all settings, for `manage.py` in another shell.
"""

import base64
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from devstack.errors import LaunchError

ROOT = Path(__file__).resolve().parent.parent

# Every variable that the launcher may give to the product, in the order of `run.env`.
SETTINGS = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "REDIS_SHARDS",
    "CELERY_BROKER_URL",
    "SECRET_KEY",
    "PROVIDER_KEYS_SECRET",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "STRIPE_API_BASE",
    "SITE_URL",
    "EMAIL_URL",
    "ALLOWED_HOSTS",
    "DEBUG",
    "LOG_FORMAT",
    "STATIC_MANIFEST",
    "ALLOW_LOOPBACK_PROVIDERS",
    "ALLOW_LOOPBACK_WEBHOOKS",
    "JOURNAL_DIR",
    "SANDBOX_UPSTREAM_URL",
    "SANDBOX_UPSTREAM_KEY",
)
# How a site on this machine differs from one in production.
LOCAL = {
    "DEBUG": "0",
    "LOG_FORMAT": "console",
    # Static files come from the source tree: nothing has to be collected first.
    "STATIC_MANIFEST": "0",
    "ALLOW_LOOPBACK_PROVIDERS": "1",
    "ALLOW_LOOPBACK_WEBHOOKS": "1",
}

# How each secret is made on the first start.
SECRETS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    # A Fernet key: 32 bytes in URL-safe base64.
    "PROVIDER_KEYS_SECRET": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "STRIPE_SECRET_KEY": lambda: "sk_test_" + secrets.token_hex(16),
    "STRIPE_WEBHOOK_SECRET": lambda: "whsec_" + secrets.token_hex(16),
    "SANDBOX_UPSTREAM_KEY": lambda: "sk-sandbox-" + secrets.token_hex(16),
}


def product_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the product's settings that the user set. An empty value counts as not set."""
    return {name: environ[name] for name in SETTINGS if environ.get(name)}


def without_product_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the product's settings, for a stack with its own."""
    return {name: value for name, value in environ.items() if name not in SETTINGS}


def closed(settings: Mapping[str, str]) -> dict[str, str]:
    """Add an empty value for each missing setting, so that another site's `run.env` adds none."""
    return {name: settings.get(name, "") for name in SETTINGS}


def local_settings(database_url: str, *, journal: Path) -> dict[str, str]:
    """Return settings that suffice for Django to load. There is no Redis."""
    made = {name: make() for name, make in SECRETS.items()}
    services = {"DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:6379/0"}
    site = {"SITE_URL": "http://127.0.0.1", "ALLOWED_HOSTS": "127.0.0.1"}
    return closed({**LOCAL, **made, **services, **site, "JOURNAL_DIR": str(journal)})


def child_environment(environ: Mapping[str, str], *, folder: Path) -> dict[str, str]:
    """Return what a Python child needs: unbuffered output, and a home that it may write to."""
    home = environ.get("HOME", "")
    if not home or not os.access(home, os.W_OK):
        home = str(folder / "home")
        Path(home).mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(part for part in (str(ROOT), environ.get("PYTHONPATH", "")) if part)
    return {**environ, "HOME": home, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def keep_secrets(path: Path) -> dict[str, str]:
    """Read the secrets, after making those that are missing. Raises LaunchError if malformed."""
    kept = read_env(path) if path.exists() else {}
    missing = {name: make() for name, make in SECRETS.items() if not kept.get(name)}
    if missing:
        write_env(path, kept | missing)
    return kept | missing


def read_env(path: Path) -> dict[str, str]:
    """Read KEY=VALUE lines. Raises LaunchError that names the file and the line."""
    values = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier():
            raise LaunchError(f"{path}, line {number}: expected NAME=VALUE")
        values[name] = value
    return values


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Write KEY=VALUE lines, readable by us alone. A reader never sees half of it."""
    for name, value in values.items():
        if "\n" in value or "\r" in value:
            raise LaunchError(f"{name} has a line break in it")
    descriptor, making = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    Path(making).replace(path)
