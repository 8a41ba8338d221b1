"""The desk keeps the database busy for no longer than somebody waits."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.test import RequestFactory

from accounts.desk.limits import brief
from accounts.desk.paging import MOST_COUNTED, BriefPaginator
from accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def sleep(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")
    return HttpResponse()


def timeout(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return HttpResponse(str(cursor.fetchone()))


def asked(method: str = "get") -> HttpRequest:
    request: HttpRequest = getattr(RequestFactory(), method)("/admin/")
    request.user = AnonymousUser()
    return request


def test_a_statement_that_takes_too_long_is_stopped_and_said_so() -> None:
    answer = brief(sleep, most_s=0.1)(asked())

    assert isinstance(answer, TemplateResponse)
    assert answer.status_code == 503
    assert "asked to stop" in answer.render().content.decode()


def test_the_limit_ends_with_the_page() -> None:
    before = timeout(asked()).content

    within = brief(timeout, most_s=3)(asked()).content

    assert within == b"('3s',)"
    assert timeout(asked()).content == before


def test_what_changes_something_is_not_stopped_half_way() -> None:
    assert brief(timeout, most_s=3)(asked("post")).content == timeout(asked()).content


def test_another_trouble_of_the_database_is_not_taken_for_it() -> None:
    def fail(request: HttpRequest) -> HttpResponse:
        raise OperationalError("PostgreSQL is away")

    with pytest.raises(OperationalError, match="away"):
        brief(fail)(asked())


def test_a_long_list_is_counted_no_further_than_its_pages_go() -> None:
    User.objects.create_user("alice@example.com")

    few = BriefPaginator(User.objects.order_by("pk"), 50)
    sql = str(User.objects.order_by()[:MOST_COUNTED].query)

    assert few.count == 1
    assert f"LIMIT {MOST_COUNTED}" in sql
