"""Find out which team a page is about, from the prefix of its path; see `addressing`."""

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import resolve

from accounts.teams.addressing import PREFIX, under
from accounts.teams.members import find_seat


class TeamMiddleware:
    """Take the prefix off a path, and set `request.seat` to the membership of that team.

    Answers 404 to people who are not in it, whether there is such a team or not. Visitors who are
    not logged in see the pages that everybody sees, and are asked to log in on others. Without a
    prefix there is no `seat` yet: `customer_only` sets that of the person's own team.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        found = PREFIX.match(request.path_info)
        if found is None:
            return self.get_response(request)
        if request.user.is_authenticated:
            _enter(request, found[1])
        request.path_info = request.path_info[found.end() :]
        with under(found[0]):
            return self.get_response(request)


def resume(request: HttpRequest, public_id: object, rest: str) -> HttpResponseBase:
    """Carry out a request that was kept while the password was asked for, in the team it was for.

    allauth resolves its whole path. No other request leads here: the middleware takes the prefix
    off before, and an address in an address is none.
    """
    if request.path != f"/teams/{public_id}/{rest}":
        raise Http404("There is no such page.")
    _enter(request, str(public_id))
    with under(f"/teams/{public_id}"):
        found = resolve(f"/{rest}")
        answer: HttpResponseBase = found.func(request, *found.args, **found.kwargs)
        return answer


def _enter(request: HttpRequest, public_id: str) -> None:
    seat = find_seat(request.user, public_id) if request.user.is_authenticated else None
    if seat is None:
        raise Http404("There is no such team.")
    vars(request).update(seat=seat, team=seat.team)
