"""What the desk's pages may ask of PostgreSQL: no statement goes on after its reader gave up."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from psycopg import errors

from accounts.desk.pages import desk_page

View = Callable[..., HttpResponse]

MOST_S = 10.0


def brief(view: View, *, most_s: float = MOST_S) -> View:
    """Let no statement of a page that is only read take longer; the page says so instead."""

    @wraps(view)
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return view(request, *args, **kwargs)
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT set_config('statement_timeout', %s, true)",
                        [f"{round(most_s * 1_000)}ms"],
                    )
                response = view(request, *args, **kwargs)
                # Templates read, too, and are rendered within the limit.
                render = getattr(response, "render", None)
                return response if render is None else render()
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.QueryCanceled):
                raise
        title = "This took too long"
        page = desk_page(request, "admin/took_too_long.html", title=title, most_s=round(most_s))
        page.status_code = 503
        return page

    return limited
