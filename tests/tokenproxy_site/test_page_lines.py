"""One line of the log for each page that somebody asks for, without what its address says."""

import logging

import httpx
import pytest
from django.test import RequestFactory

from accounts.models import User
from proxy.database import in_database
from tests.conftest import signed_in
from tests.log_lines import Lines, as_written
from tests.proxy.conftest import NO_TLS
from tests.tokenproxy_site.server import served

SECRET = "canarysecret"


async def ask(path: str, **cookies: str) -> httpx.Response:
    async with served() as port, httpx.AsyncClient(verify=NO_TLS, cookies=cookies) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}")


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/packs/", "packs/", 200),
        (
            f"/accounts/password/reset/key/1-{SECRET}/?next={SECRET}",
            "^accounts/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
            200,
        ),
        (f"/nowhere/{SECRET}", None, 404),
    ],
)
@pytest.mark.django_db(transaction=True)
async def test_a_page_is_one_line_with_its_pattern(
    request_lines: Lines, path: str, route: str | None, status: int
) -> None:
    await ask(path)

    (line,) = request_lines()
    assert (line["surface"], line["route"], line["status"]) == ("site", route, status)
    assert line["user_id"] is None
    assert SECRET not in str(line)


@pytest.mark.django_db(transaction=True)
async def test_a_page_names_whom_it_was_for(alice: User, request_lines: Lines) -> None:
    browser = await in_database(signed_in, alice)
    cookies = {name: morsel.value for name, morsel in browser.cookies.items()}

    answer = await ask("/dashboard/", **cookies)

    (line,) = request_lines()
    assert (answer.status_code, line["user_id"]) == (200, alice.pk)
    assert not any(value in str(line) for value in cookies.values())
    assert alice.email not in str(line)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/static/nothing.css"])
async def test_probes_and_static_files_are_no_lines(request_lines: Lines, path: str) -> None:
    await ask(path)

    assert request_lines() == []


@pytest.mark.parametrize("path", [f"/reset/{SECRET}/", f"/reset/?key={SECRET}"])
def test_an_error_of_a_page_says_nothing_of_its_path(path: str) -> None:
    request = RequestFactory().get(path)
    record = logging.getLogger("django.request").makeRecord(
        "django.request",
        logging.ERROR,
        __file__,
        1,
        "%s: %s",
        ("Internal Server Error", request.path),
        None,
        extra={"request": request},
    )

    written = as_written(record)

    assert "Internal Server Error: a path of no page" in written
    assert SECRET not in written
