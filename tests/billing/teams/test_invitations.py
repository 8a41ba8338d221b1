import re

from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from pytest_django import Settings

from accounts.models import Invitation, Role, User
from accounts.teams.members import find_seat
from billing.teams.invitations import invite
from tests.conftest import signed_in
from tests.teams import Crew, confirm, confirmed


class AwayBackend(EmailBackend):
    """A mail server that is not there."""

    def send_messages(self, messages: object) -> int:
        raise OSError("away")


def link_of(message: object) -> str:
    found = re.search(r"https?://[^/]+(/invitations/\S+)", str(getattr(message, "body", "")))
    assert found
    return found[1]


def test_the_mailed_link_leads_into_the_team(acme: Crew) -> None:
    dora = confirmed("dora")

    _, is_mailed = invite(acme.admin, dora.email, Role.DEVELOPER)

    (message,) = mail.outbox
    path = link_of(message)
    client = signed_in(dora)
    page = client.get(path)
    answer = client.post(path)
    assert is_mailed
    assert message.to == [dora.email]
    assert "Acme" in message.body
    assert b"Join <bdi>Acme</bdi>?" in page.content
    assert answer.headers["Location"] == f"/teams/{acme.team.public_id}/dashboard/"
    assert client.get(answer.headers["Location"]).status_code == 200
    assert find_seat(dora, str(acme.team.public_id)) is not None


def test_the_overview_shows_an_invitation_to_whoever_signed_up_by_it(acme: Crew, bob: User) -> None:
    invitation, _ = invite(acme.admin, bob.email, Role.DEVELOPER)
    client = signed_in(bob)
    path = f"/dashboard/invitations/{invitation.pk}/"

    unconfirmed = client.get("/dashboard/"), client.get(path), client.post(path)
    nobody_joined = find_seat(bob, str(acme.team.public_id))
    confirm(bob)
    overview, page, answer = client.get("/dashboard/"), client.get(path), client.post(path)

    assert [b"Acme" in seen.content for seen in unconfirmed] == [False, False, False]
    assert nobody_joined is None
    assert path.encode() in overview.content
    assert b"Join <bdi>Acme</bdi>?" in page.content
    assert answer.headers["Location"] == f"/teams/{acme.team.public_id}/dashboard/"
    assert client.get(path).status_code == 404


def test_another_person_sees_nothing_of_the_team(acme: Crew, bob: User, client: Client) -> None:
    invite(acme.admin, "dora@example.com", Role.DEVELOPER)
    path = link_of(mail.outbox[0])

    answer = signed_in(bob).get(path)

    assert answer.status_code == 404
    assert b"Acme" not in answer.content
    assert b"Acme" not in client.get(path).content
    signed_in(bob).post(path)
    assert find_seat(bob, str(acme.team.public_id)) is None


def test_an_invitation_that_could_not_be_mailed_is_said_to_be(
    acme: Crew, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.{AwayBackend.__name__}"

    _, is_mailed = invite(acme.admin, "dora@example.com", Role.DEVELOPER)

    assert not is_mailed
    assert Invitation.objects.count() == 1
