"""The ports and settings of one start of a stack."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.environment import LOCAL, keep_secrets
from devstack.errors import LaunchError
from devstack.ports import free_port, is_free

STRIPE_NEEDS = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")


@dataclass(frozen=True)
class Site:
    """What a plan may know of its stack."""

    folder: Path
    host: str
    web_ports: list[int]
    stripe_port: int
    upstream_port: int
    mail_port: int
    smtp_port: int
    # The product's settings, complete but for the services' URLs.
    settings: Mapping[str, str]
    # False if the user named a Stripe.
    has_stripe_sandbox: bool
    has_upstream_sandbox: bool
    has_mail_sandbox: bool

    @property
    def url(self) -> str:
        return url_of(self.host, self.web_ports[0])

    @property
    def web_urls(self) -> list[str]:
        return [url_of(self.host, port) for port in self.web_ports]

    @property
    def stripe_url(self) -> str:
        return url_of("127.0.0.1", self.stripe_port)

    @property
    def upstream_url(self) -> str:
        return url_of("127.0.0.1", self.upstream_port)

    @property
    def mail_url(self) -> str:
        return url_of("127.0.0.1", self.mail_port)


def url_of(host: str, port: int) -> str:
    """Return the URL of a server that listens on this host."""
    called = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host)  # noqa: S104 - compared, not bound
    return f"http://{called or (f'[{host}]' if ':' in host else host)}:{port}"


def choose_site(
    folder: Path, *, host: str, port: int | None, webs: int, given: Mapping[str, str]
) -> Site:
    """Choose ports and complete the settings; what the user gave wins.

    Raises LaunchError if the user gave half of what Stripe needs.
    """
    names = ["stripe", "upstream", "mail", "smtp", *(f"web{index}" for index in range(1, webs + 1))]
    ports = remember_ports(folder / "ports.json", names)
    if port is not None:
        ports["web1"] = port
    site = Site(
        folder=folder,
        host=host,
        web_ports=[ports[name] for name in names if name.startswith("web")],
        stripe_port=ports["stripe"],
        upstream_port=ports["upstream"],
        mail_port=ports["mail"],
        smtp_port=ports["smtp"],
        settings={},
        has_stripe_sandbox=not brings_stripe(given),
        has_upstream_sandbox="SANDBOX_UPSTREAM_URL" not in given,
        has_mail_sandbox="EMAIL_URL" not in given,
    )
    return Site(**{**vars(site), "settings": make_settings(site) | dict(given)})


def make_settings(site: Site) -> dict[str, str]:
    """Return the default settings of a site, without the services' URLs."""
    hosts = ["127.0.0.1", "localhost", "[::1]", site.host]
    settings = {
        **keep_secrets(site.folder / "secrets.env"),
        **LOCAL,
        "SITE_URL": site.url,
        "ALLOWED_HOSTS": ",".join(dict.fromkeys(hosts)),
        "JOURNAL_DIR": str(site.folder / "journal"),
        "EMAIL_URL": f"smtp://127.0.0.1:{site.smtp_port}",
        "SANDBOX_UPSTREAM_URL": f"{site.upstream_url}/v1",
    }
    if site.has_stripe_sandbox:
        settings["STRIPE_API_BASE"] = site.stripe_url
    return settings


def brings_stripe(given: Mapping[str, str]) -> bool:
    """Whether the user's environment names a Stripe. Raises LaunchError if only half of it."""
    if not any(given.get(name) for name in (*STRIPE_NEEDS, "STRIPE_API_BASE")):
        return False
    for name in STRIPE_NEEDS:
        if not given.get(name):
            raise LaunchError(f"your environment sets up Stripe, but {name} is missing")
    return True


def remember_ports(path: Path, names: list[str]) -> dict[str, int]:
    """Return a port for each name: that of the last start if free, since data hold it in URLs."""
    kept = read_ports(path)
    ports: dict[str, int] = {}
    for name in names:
        port = kept.get(name)
        while port is None or port in ports.values() or not is_free(port):
            port = free_port()
        ports[name] = port
    path.write_text(json.dumps(ports))
    return ports


def read_ports(path: Path) -> dict[str, int]:
    """Return the ports in the file; {} if it is missing or malformed: new ports are chosen then."""
    try:
        kept = json.loads(path.read_text())
        return {str(name): int(port) for name, port in kept.items() if 0 < int(port) < 65_536}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
