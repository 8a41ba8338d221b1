"""The only parser of Redis URLs: every Redis client of the product is made from its result.

`rediss://user:password@host:port/db?ssl_ca_certs=/etc/redis/ca.pem`, in redis-py's spelling, or
`sentinel://user:password@host1:26379,host2:26379/service/db` (`sentinels://` with TLS), where the
Sentinels say at each connection which server is the service's primary. An option outside OPTIONS
is refused: clients silently ignore security options they don't know.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import redis
from redis._parsers.base import BaseParser
from redis.asyncio.connection import RedisSSLContext
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

SCHEMES = ("redis", "rediss", "sentinel", "sentinels", "unix")
TLS_SCHEMES = ("rediss", "sentinels")
PORT = 6379
SENTINEL_PORT = 26379
# Then the next Sentinel is asked: a call has 1.8 s for all of it.
SENTINEL_S = 0.4
# What a server of a Sentinel is asked with: the options of TLS, but no login of the servers.
LOGIN = ("sentinel_user", "sentinel_password")
ESCAPES = "In a password, write / ? # @ : as %2F %3F %23 %40 %3A"

# The accepted values of an option, and what each stands for.
VERIFIES = {
    "required": "required",
    # A client treats it like `required`.
    "optional": "required",
    "none": "none",
}
TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
# The numbers are what redis-py accepts; it takes no names.
VERSIONS = {
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "771": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
    "772": ssl.TLSVersion.TLSv1_3,
}
# The TLS options, each with its accepted values; None accepts any text.
OPTIONS: dict[str, Mapping[str, Any] | None] = {
    "ssl_ca_certs": None,
    "ssl_certfile": None,
    "ssl_keyfile": None,
    "ssl_password": None,
    "ssl_cert_reqs": VERIFIES,
    "ssl_check_hostname": TRUTHS,
    "ssl_min_version": VERSIONS,
}
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# Without a password here, OpenSSL prompts on the terminal when a key is encrypted.
SAFE = {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_password": ""}

# What a primary answers that `min-replicas-to-write` keeps from writing: its replica may be the
# primary by now. redis-py, which has no error for it, would stay with it, and Celery's worker end.
BaseParser.EXCEPTION_CLASSES["NOREPLICAS"] = redis.ReadOnlyError


class MalformedAddress(ValueError):
    """A Redis URL can't be parsed, or asks for something that can't be honoured."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The address of a Redis server, and how to connect to it."""

    host: str = ""
    port: int = PORT
    # The path of a Unix socket, used instead of host and port.
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = None
    # Where the Sentinels are that know the server, what they call it, and how to log in to them.
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    # redis-py's TLS arguments; None without TLS.
    tls: Mapping[str, Any] | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL. Raises MalformedAddress."""
        url, sentinels = _without_sentinels(url)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # The error's message could contain a part of the password.
            raise MalformedAddress(f"has a host or port that is none. {ESCAPES}") from None
        if parts.scheme not in SCHEMES:
            raise MalformedAddress("must be an address such as redis://host:6379/0")
        if parts.fragment or "@" in parts.path + parts.query:
            # The rest may be a part of the password, which no message may reveal.
            raise MalformedAddress(f"has a '#', or an '@' behind its host. {ESCAPES}")
        if parts.username and not parts.password:
            raise MalformedAddress("names a user without a password")
        is_unix = parts.scheme == "unix"
        if not (parts.path if is_unix else parts.hostname):
            raise MalformedAddress(f"names no {'path' if is_unix else 'host'}")
        options = _options(parts.query)
        service, path = "", parts.path.strip("/")
        if sentinels:
            service, _, path = path.partition("/")
            if not service:
                raise MalformedAddress("names no service of its Sentinels")
        logins = [options.pop(name, None) for name in LOGIN]
        if any(logins) and not sentinels:
            raise MalformedAddress(f"has {LOGIN[0]} or {LOGIN[1]}, and no Sentinel")
        numbers = [options.pop("db", ""), "" if is_unix else path]
        return cls(
            host="" if is_unix or sentinels else unquote(parts.hostname or ""),
            port=PORT if port is None else port,
            path=unquote(parts.path) if is_unix else "",
            db=_database(numbers),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=_tls(options, is_tls=parts.scheme in TLS_SCHEMES),
            sentinels=sentinels,
            service=unquote(service),
            sentinel_username=logins[0],
            sentinel_password=logins[1],
        )

    def demand_files(self) -> None:
        """Raise MalformedAddress if a file that the URL names can't be used."""
        for option in FILES:
            if self.tls and option in self.tls:
                try:
                    Path(self.tls[option]).read_bytes()
                except (OSError, ValueError) as error:
                    raise MalformedAddress(f"has an {option} that can't be read: {error}") from None
        try:
            self.new_context()
        except OSError as error:
            raise MalformedAddress(f"names certificates that can't be used: {error}") from None

    def new_context(self) -> ssl.SSLContext | None:
        """Return the TLS context that redis-py would make; None without TLS. Raises OSError.

        Each call reads the files, so a certificate can be replaced while the process runs.
        """
        if self.tls is None:
            return None
        named = {option.removeprefix("ssl_"): value for option, value in self.tls.items()}
        context: ssl.SSLContext = RedisSSLContext(**named).get()
        return context

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a redis-py connection."""
        shared = {"db": self.db, "username": self.username, "password": self.password}
        if self.path:
            return {
                "connection_class": redis.UnixDomainSocketConnection,
                "path": self.path,
                **shared,
            }
        plain = {"host": self.host, "port": self.port, **shared}
        if self.sentinels:
            return {**shared, **({} if self.tls is None else {"ssl": True, **self.tls})}
        if self.tls is None:
            return plain
        return {"connection_class": redis.SSLConnection, **plain, **self.tls}

    def sentinel_arguments(self) -> dict[str, Any]:
        """Return the arguments of redis-py's connections to the Sentinels."""
        return {
            "username": self.sentinel_username,
            "password": self.sentinel_password,
            "socket_timeout": SENTINEL_S,
            "socket_connect_timeout": SENTINEL_S,
            **({} if self.tls is None else {"ssl": True, **self.tls}),
        }

    def server(self) -> str:
        """Return which server this is, whatever the database and the login."""
        if self.sentinels:
            places = ",".join(f"{host}:{port}" for host, port in self.sentinels)
            return f"{self.service} of {places}"
        return self.path or f"{self.host}:{self.port}"

    def place(self) -> str:
        """Return where the data are, for people: no secret."""
        return f"{self.server()}/{self.db}"

    def broker_url(self) -> str:
        """Return the URL for Celery's transport, which takes `tls` separately."""
        if self.sentinels:
            return ";".join(
                f"sentinel://{self._broker_login()}{host}:{port}/{self.db}"
                for host, port in self.sentinels
            )
        login = self._broker_login()
        if self.path:
            return f"redis+socket://{login}{quote(self.path)}?virtual_host={self.db}"
        scheme = "redis" if self.tls is None else "rediss"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{login}{host}:{self.port}/{self.db}"

    def broker_options(self) -> dict[str, Any]:
        """Return what Celery's transport is told beside the URL."""
        if not self.sentinels:
            return {}
        return {"master_name": self.service, "sentinel_kwargs": self.sentinel_arguments()}

    def _broker_login(self) -> str:
        user, password = quote(self.username or "", safe=""), quote(self.password or "", safe="")
        return f"{user}:{password}@" if password else ""


class AddressPool(redis.ConnectionPool):
    """redis-py's connection pool, with URLs parsed here. Django's cache uses it too."""

    @classmethod
    def from_url(cls, url: str, **arguments: Any) -> Any:
        """Return a pool of connections to a URL. Raises MalformedAddress."""
        address = RedisAddress.parse(url)
        given = {**address.arguments(), **arguments}
        if not address.sentinels:
            return cls(**given)
        asked = {**address.sentinel_arguments(), "retry": Retry(NoBackoff(), 0)}
        # redis-py leaves both without types.
        manager: Any = Sentinel
        pool: Any = SentinelConnectionPool
        sentinels = manager(address.sentinels, sentinel_kwargs=asked)
        return pool(address.service, sentinels, **given)


def open_redis(url: str, **arguments: Any) -> redis.Redis:
    """Return a redis-py client for a URL; the caller closes it. Raises MalformedAddress."""
    return redis.Redis.from_pool(AddressPool.from_url(url, **arguments))


def beside(url: str, db: int) -> str:
    """Return the URL of another database of the same server."""
    parts = urlsplit(url)
    options = [(name, value) for name, value in parse_qsl(parts.query) if name != "db"]
    path = f"/{db}"
    if parts.scheme.startswith("sentinel"):
        service = parts.path.strip("/").partition("/")[0]
        path = f"/{service}/{db}"
    if parts.scheme == "unix":
        path = parts.path
        options.append(("db", str(db)))
    query = f"?{urlencode(options)}" if options else ""
    return f"{parts.scheme}://{parts.netloc}{path}{query}"


def _without_sentinels(url: str) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return a URL of Sentinels with the first of them as its host, and all of them."""
    scheme, mark, rest = url.partition("://")
    if scheme not in {"sentinel", "sentinels"} or not mark:
        return url, ()
    place, slash, path = rest.partition("/")
    login, at, hosts = place.rpartition("@")
    found: list[tuple[str, int]] = []
    for text in hosts.split(","):
        try:
            parts = urlsplit(f"//{text}")
            found.append((parts.hostname or "", parts.port or SENTINEL_PORT))
        except ValueError:
            raise MalformedAddress(f"has a host or port that is none. {ESCAPES}") from None
    if not all(host for host, _ in found):
        raise MalformedAddress("names no host")
    return f"{scheme}://{login}{at}{hosts.split(',')[0]}{slash}{path}", tuple(found)


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in {"db", *LOGIN, *OPTIONS}:
            raise MalformedAddress(f"has the option {name}: it may have db, {', '.join(OPTIONS)}")
        if name in options:
            raise MalformedAddress(f"has the option {name} twice")
        if not value:
            raise MalformedAddress(f"has an empty option {name}")
        options[name] = value
    return options


def _database(numbers: list[str]) -> int:
    found = [number for number in numbers if number]
    # redis-py would use the option's number, Celery the path's.
    if len(found) > 1:
        raise MalformedAddress("names its database twice, in its path and as an option")
    if found and not (found[0].isascii() and found[0].isdigit()):
        raise MalformedAddress(f"must name its database by a number. {ESCAPES}")
    return int(found[0]) if found else 0


def _tls(options: dict[str, str], *, is_tls: bool) -> dict[str, Any] | None:
    if not is_tls:
        if options:
            raise MalformedAddress(f"has the option {min(options)}: it needs rediss://")
        return None
    tls = {name: _value(name, text) for name, text in options.items()}
    if "ssl_keyfile" in tls and "ssl_certfile" not in tls:
        raise MalformedAddress("has an ssl_keyfile without an ssl_certfile")
    # The host name in an unverified certificate proves nothing.
    if tls.get("ssl_cert_reqs") == "none" and tls.setdefault("ssl_check_hostname", False):
        raise MalformedAddress("can't check a host's name (ssl_check_hostname) unverified")
    return SAFE | tls


def _value(name: str, text: str) -> Any:
    words = OPTIONS[name]
    if words is None:
        return text
    # Celery's spelling is CERT_REQUIRED.
    word = text.lower().removeprefix("cert_")
    if word not in words:
        raise MalformedAddress(f"has {name}={text}: it must be one of {', '.join(words)}")
    return words[word]
