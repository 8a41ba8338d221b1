"""The audit trail: the page, its filters, its pages, and the file."""

import csv
import io
from typing import Any

from accounts.models import Role, User
from accounts.teams.events import Action, note
from accounts.teams.trail import PAGE_SIZE
from tests.teams import Crew, make_crew


def read(crew: Crew, **query: Any) -> str:
    answer = crew.browser(Role.ADMIN).get(crew.page("team/events/"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def rows(crew: Crew, **query: Any) -> list[list[str]]:
    answer = crew.browser(Role.ADMIN).get(crew.page("team/events.csv"), query)
    assert answer.status_code == 200
    text = b"".join(answer).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def test_it_tells_who_did_what_to_whom_with_before_and_after(acme: Crew) -> None:
    note(
        acme.team,
        Action.CAPS_CHANGED,
        actor=acme.person(Role.OWNER),
        member=acme.person(Role.DEVELOPER),
        before={"monthly_cap_credits": None},
        after={"monthly_cap_credits": 77},
    )

    page = read(acme)

    assert "changed the caps of" in page
    assert "monthly cap credits" in page
    assert "<bdi>none</bdi> → <bdi>77</bdi>" in page
    assert str(acme.person(Role.DEVELOPER)) in page


def test_it_is_filtered_by_person_and_deed(acme: Crew) -> None:
    billing = acme.person(Role.BILLING)
    note(acme.team, Action.BOUGHT, actor=billing, subject="Starter")
    note(acme.team, Action.BOUGHT, actor=acme.person(Role.OWNER), subject="Builder")
    note(acme.team, Action.ROLE_CHANGED, actor=acme.person(Role.OWNER), member=billing)

    assert [row[2] for row in rows(acme)[1:]] == [
        "changed the role of",
        "bought",
        "bought",
        "founded the team",
    ]
    assert [row[3] for row in rows(acme, action="bought")[1:]] == ["Builder", "Starter"]
    assert [row[3] for row in rows(acme, action="bought", person=billing.pk)[1:]] == ["Starter"]
    assert len(rows(acme, person=billing.pk)) == 1 + 2
    assert "Builder" not in read(acme, action="bought", person=billing.pk)
    assert "Nothing matches" in read(acme, action="redeemed")


def test_a_filter_that_makes_no_sense_is_refused(acme: Crew, bob: User) -> None:
    for query in ({"person": bob.pk}, {"action": "danced"}, {"before": "0"}, {"before": 10**30}):
        for page in ("team/events/", "team/events.csv"):
            answer = acme.browser(Role.ADMIN).get(acme.page(page), query)
            assert answer.status_code == 400


def test_pages_follow_one_another_by_key(acme: Crew) -> None:
    for number in range(PAGE_SIZE + 5):
        note(acme.team, Action.BOUGHT, actor=acme.person(Role.OWNER), subject=f"Pack no {number}.")

    first = read(acme, action="bought")
    cursor = first.partition("before=")[2].partition('"')[0].partition("&")[0]
    second = read(acme, action="bought", before=cursor)

    assert "Pack no 54." in first
    assert "Pack no 4." not in first
    assert [f"Pack no {number}." in second for number in (5, 4, 0)] == [False, True, True]


def test_the_file_runs_no_formula(acme: Crew) -> None:
    note(acme.team, Action.BOUGHT, actor=acme.person(Role.OWNER), subject="=HYPERLINK(1)")

    cells = rows(acme, action="bought")[1]

    assert not any(cell.startswith("=") for cell in cells)


def test_another_teams_events_are_not_in_it(acme: Crew, bob: User) -> None:
    other = make_crew("Beta", bob)

    page = read(acme)

    assert "Beta" not in page
    assert str(other.person(Role.ADMIN)) not in page
