"""Find out which team a page is about, from the prefix of its path; see `addressing`."""

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import set_script_prefix

from accounts.teams.addressing import PREFIX
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
            seat = find_seat(request.user, found[1])
            if seat is None:
                raise Http404("There is no such team.")
            vars(request).update(seat=seat, team=seat.team)
        request.path_info = request.path_info[found.end() :]
        set_script_prefix(f"{found[0]}/")
        try:
            return self.get_response(request)
        finally:
            set_script_prefix("/")
