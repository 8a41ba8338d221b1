"""What the process was started with; refused before anything opens if it can't be right."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

# Seconds from one attempt of a webhook to the next; after the last the delivery has failed.
RETRY_DELAYS_S = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)


class BadConfig(ValueError):
    """A setting that is missing or malformed; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    data_dir: Path
    api_key: str
    webhook_secret: str
    webhook_url: str
    public_url: str
    retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S

    def __post_init__(self) -> None:
        # A live key here would be someone's real key on its way into a log.
        if not self.api_key.startswith(("sk_test_", "rk_test_")) or len(self.api_key) < 12:
            raise BadConfig("--api-key must start with sk_test_ or rk_test_ and not be trivial")
        if not self.webhook_secret.startswith("whsec_") or len(self.webhook_secret) < 12:
            raise BadConfig("--webhook-secret must start with whsec_ and not be trivial")
        for name in ("webhook_url", "public_url"):
            if not is_absolute_url(getattr(self, name)):
                raise BadConfig(f"--{name.replace('_', '-')} must be an absolute http(s) URL")


def is_absolute_url(text: str) -> bool:
    """Return whether a browser could be sent there."""
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    has_space = any(character.isspace() for character in text)
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port_is_valid
        and not (has_space or len(text) > 5_000)
    )
