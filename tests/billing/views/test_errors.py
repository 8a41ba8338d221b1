"""Error pages."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.views.defaults import permission_denied

from billing.views import errors


def test_a_page_that_isnt_there_says_so(as_charlie: Client) -> None:
    answer = as_charlie.get("/nowhere/")

    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()
    assert 'class="site-header"' in answer.content.decode()


@pytest.mark.parametrize(("view", "status"), [(errors.bad_request, 400), (permission_denied, 403)])
def test_a_refusal_has_a_page(
    rf: RequestFactory, view: Callable[[HttpRequest, Exception], HttpResponse], status: int
) -> None:
    request = rf.get("/")
    request.user = AnonymousUser()

    answer = view(request, Exception())

    assert answer.status_code == status
    assert str(status) in answer.content.decode()


def test_the_last_page_needs_neither_request_nor_database() -> None:
    answer = errors.server_error(HttpRequest())

    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.content.decode()
    assert "TokenProxy" in answer.content.decode()


@pytest.mark.parametrize("path", ["/", "/packs/", "/dashboard/", "/dashboard/usage/"])
def test_a_page_that_only_shows_refuses_a_post(as_alice: Client, path: str) -> None:
    assert as_alice.post(path).status_code == 405
