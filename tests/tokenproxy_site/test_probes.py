"""Probes and scrapers ask a process by its own address; everything else knows the site's hosts."""

import asyncio
import logging
import sys
from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from django.core.cache import cache
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.tasks.wallet import recover_wallets
from tests.billing.wallet.faults import RedisFaults
from tests.log_lines import as_written
from tests.till import Till
from tests.tokenproxy_site.database import database_away
from tokenproxy_site.health import READINESS
from tokenproxy_site.probes import PROBES

# Before a worker has been seen.
EMPTY = {"/readyz": 503}

pytestmark = pytest.mark.django_db(transaction=True)

HOSTS = ["10.1.2.3:8000", "[2001:db8::7]:8000", "elsewhere.example", "a b", "[::", "é", "x/y", ""]


@pytest.fixture(autouse=True)
def token(settings: Any) -> None:
    settings.METRICS_TOKEN = "scrape-me"
    cache.clear()


@pytest.fixture
def ready(till: Till) -> None:
    recover_wallets()


def ask(path: str, *, method: str = "get", **given: Any) -> Any:
    return Client(headers={"Authorization": "Bearer scrape-me"}).generic(method, path, **given)


@pytest.mark.parametrize("path", sorted(PROBES))
@pytest.mark.parametrize("host", HOSTS)
def test_a_probe_is_answered_whatever_the_host(till: Till, path: str, host: str) -> None:
    asked = ask(path, HTTP_HOST=host)

    assert asked.status_code == EMPTY.get(path, 200)
    assert (b"worker" in asked.content) == (path == "/readyz")


@pytest.mark.parametrize("path", sorted(PROBES))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_probe_is_answered_without_a_host(till: Till, path: str, method: str) -> None:
    # Without the header a host is made of the address that the server listens on.
    asked = ask(path, method=method, SERVER_NAME="10.1.2.3")

    assert asked.status_code == EMPTY.get(path, 200)
    assert int(asked["Content-Length"]) > 0
    assert bool(asked.content) == (method == "GET")


@pytest.mark.parametrize("path", sorted(PROBES))
def test_a_probe_is_not_sent_to_https(till: Till, settings: Any, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert ask(path, HTTP_HOST="10.1.2.3").status_code in (200, 503)
    assert ask("/packs/").status_code == 301


@pytest.mark.parametrize("path", sorted(PROBES))
def test_a_probe_only_reads(till: Till, path: str) -> None:
    assert ask(path, method="post", HTTP_HOST="10.1.2.3").status_code == 405


def test_each_part_is_ready_by_itself(ready: None, faults: RedisFaults) -> None:
    whole = {path: ask(path).status_code for path in READINESS}

    faults.flush()
    without_wallets = {path: ask(path).status_code for path in READINESS}

    assert whole == {"/readyz": 200, "/readyz/api": 200, "/readyz/site": 200}
    assert without_wallets == {"/readyz": 503, "/readyz/api": 503, "/readyz/site": 200}


def test_the_api_is_ready_without_postgresql(ready: None) -> None:
    connection.close()
    with database_away():
        answers = {path: ask(path) for path in READINESS}

    assert answers["/readyz/api"].status_code == 200
    assert answers["/readyz/site"].json()["database"] == "PostgreSQL does not answer"


def test_postgresql_is_back_after_a_test_that_fails_without_it(ready: None) -> None:
    connection.close()

    with pytest.raises(AssertionError), database_away():
        assert ask("/readyz/site").status_code == 200

    assert ask("/readyz/site").status_code == 200


def test_nothing_is_ready_before_every_migration_is_applied(ready: None) -> None:
    MigrationRecorder(connection).record_unapplied("billing", "0001_initial")
    try:
        asked = ask("/readyz/site")
    finally:
        MigrationRecorder(connection).record_applied("billing", "0001_initial")

    assert asked.json()["database"] == "migrations are not applied"


def test_a_ready_probe_asks_the_database_once(ready: None) -> None:
    ask("/readyz/site")
    with CaptureQueriesContext(connection) as queries:
        ask("/readyz/site")

    assert len(queries) == 1


def test_the_scraper_still_needs_its_token(till: Till, settings: Any) -> None:
    assert Client().get("/metrics", HTTP_HOST="10.1.2.3").status_code == 401

    settings.METRICS_TOKEN = ""
    assert ask("/metrics", HTTP_HOST="10.1.2.3").status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/packs/", "/accounts/login/", "/admin/login/", "/healthz/", "//healthz", "/x"]
)
@pytest.mark.parametrize("host", HOSTS)
def test_every_other_page_refuses_an_unknown_host(path: str, host: str) -> None:
    assert ask(path, HTTP_HOST=host).status_code == 400


def test_a_wrong_host_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    ask("/accounts/login/", HTTP_HOST="elsewhere.example")
    ask("/accounts/login/", method="post", HTTP_HOST="elsewhere.example")

    lines = [as_written(record) for record in caplog.records]
    assert len(lines) == 2
    assert all("elsewhere.example" in line and "\n" not in line for line in lines)
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_an_error_of_ours_keeps_its_traceback() -> None:
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        record = logging.getLogger("django.request").makeRecord(
            "django.request", logging.ERROR, __file__, 1, "%s", ("boom",), sys.exc_info()
        )

    assert "Traceback" in as_written(record)


async def test_a_request_of_http_1_0_needs_no_host() -> None:
    scope = {
        "type": "http",
        "http_version": "1.0",
        "method": "GET",
        "path": "/healthz",
        "query_string": b"",
        "scheme": "http",
        "headers": [],
        "server": ("10.1.2.3", 8000),
        "client": ("10.1.2.4", 5000),
    }
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    await inbox.put({"type": "http.request"})
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await get_asgi_application()(scope, inbox.get, send)

    assert (sent[0]["status"], sent[1]["body"]) == (200, b'{"status": "ok"}')
    assert (b"Content-Length", b"16") in sent[0]["headers"]
