"""Read settings from the environment, and refuse to start on a missing or malformed one.

`make run` leaves the addresses of the services it started in `var/run.env`; a variable that is
not in the environment is looked up there, so that `manage.py` in the same checkout finds them.

Instead of any setting NAME, NAME_FILE may name a file that holds its value, which keeps secrets
out of the environment and off the command line.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from billing.wallet.address import MalformedAddress, RedisAddress
from billing.wallet.shard_map import read_shard_map
from common.client_networks import read_network

env = environ.Env()


def read_run_file(path: Path) -> None:
    """Take the settings of a running `make run` for variables that are not set. Safe to repeat."""
    if path.is_file():
        env.read_env(path, overwrite=False)


def get_text(name: str, default: str | None = None, *, prefixes: Iterable[str] = ()) -> str:
    """Return a non-empty text setting that starts with one of `prefixes`, if any are given."""
    value = _read_given(name) or (default or "").strip()
    if not value and default is None:
        raise ImproperlyConfigured(f"The setting {name} is required and is missing or empty.")
    allowed = tuple(prefixes)
    if value and allowed and not value.startswith(allowed):
        raise ImproperlyConfigured(f"The setting {name} must start with {' or '.join(allowed)}.")
    if value in allowed:
        raise ImproperlyConfigured(f"The setting {name} has nothing behind its {value}.")
    return value


def _read_given(name: str) -> str:
    """Return the value from the environment or from the file that it names; "" without either."""
    value = str(env.str(name, default="")).strip()
    path = str(env.str(f"{name}_FILE", default="")).strip()
    if not path:
        return value
    if value:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"The file that {name}_FILE names can't be read: {error}."
        ) from error


def get_list(name: str, default: str | None = None, *, prefixes: Iterable[str] = ()) -> list[str]:
    """Return a comma-separated setting as a list without empty items."""
    text = get_text(name, default)
    items = [item.strip() for item in text.split(",") if item.strip()]
    if default is None and not items:
        raise ImproperlyConfigured(f"The setting {name} lists nothing.")
    allowed = tuple(prefixes)
    for item in items:
        if allowed and not item.startswith(allowed):
            raise ImproperlyConfigured(
                f"Every item of the setting {name} must start with {' or '.join(allowed)}."
            )
        if item in allowed:
            raise ImproperlyConfigured(f"An item of the setting {name} is {item} alone.")
    return items


def get_int(name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
    """Return a whole-number setting within its bounds."""
    text = get_text(name, str(default))
    try:
        value = int(text)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"The setting {name} must be a whole number, not {text!r}."
        ) from error
    if value < least or (most is not None and value > most):
        upper = "" if most is None else f" and at most {most}"
        raise ImproperlyConfigured(f"The setting {name} must be at least {least}{upper}.")
    return value


def get_choice(name: str, default: str, choices: Iterable[str]) -> str:
    """Return one of a few words. Raises ImproperlyConfigured."""
    value = get_text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"The setting {name} must be one of {', '.join(choices)}.")
    return value


def get_bool(name: str, *, default: bool) -> bool:
    """Return a yes-or-no setting; anything but 1/0, true/false, yes/no, on/off is refused."""
    text = get_text(name, "1" if default else "0").lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"The setting {name} must be 1 or 0, not {text!r}.")


def get_url(name: str, default: str | None = None, *, schemes: Iterable[str]) -> str:
    """Return an address with one of `schemes` and a host."""
    value = get_text(name, default)
    if not value:
        return value
    parts = urlsplit(value)
    if parts.scheme not in set(schemes) or not parts.netloc:
        raise ImproperlyConfigured(
            f"The setting {name} must be an address such as {next(iter(schemes))}://host/…"
        )
    return value.rstrip("/")


def get_redis_url(name: str, default: str | None = None) -> str:
    """Return the URL of a Redis server, whose options every client honours."""
    value = get_text(name, default) or default or ""
    try:
        RedisAddress.parse(value).demand_files()
    except MalformedAddress as error:
        raise ImproperlyConfigured(f"The setting {name} {error}.") from error
    return value


def get_shard_map(name: str, *, default: str) -> tuple[str, ...]:
    """Return the URL of the server of each shard, of which every client honours the options."""
    try:
        urls = read_shard_map(get_text(name, ""), default=default)
        for url in set(urls):
            RedisAddress.parse(url).demand_files()
    except MalformedAddress as error:
        raise ImproperlyConfigured(f"The setting {name} {error}.") from error
    return urls


def get_fernet_keys(name: str) -> list[str]:
    """Return one or more Fernet keys, newest first; each is checked."""
    keys = get_list(name)
    for key in keys:
        try:
            Fernet(key)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"Every item of the setting {name} must be a Fernet key: "
                "32 random bytes in URL-safe base64."
            ) from error
    return keys


def get_networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Return a comma-separated list of addresses and networks; an empty one if it is not set."""
    try:
        return [read_network(item) for item in get_list(name, "")]
    except ValueError as error:
        raise ImproperlyConfigured(
            f"The setting {name} must list networks such as 10.0.0.0/8: {error}."
        ) from error


# What makes tables, and what reads or writes all of them at once.
OWNERS_COMMANDS = {
    "backup_books",
    "flush",
    "make_database_roles",
    "make_history",
    "migrate",
    "restore_books",
}


def is_owners_command(argv: Sequence[str]) -> bool:
    """Tell whether this process is a command that takes the owner of the tables."""
    return Path(argv[0]).name == "manage.py" and len(argv) > 1 and argv[1] in OWNERS_COMMANDS
