"""Inviting people, and what readers of the link see."""

import re

import pytest
from django.core import mail
from django.test import Client

from accounts.models import Invitation, Membership, Role, User
from billing.models import Notice
from tests.conftest import signed_in
from tests.teams import Crew, confirm

LINK = re.compile(r"/invitations/[\w-]+/")


def invite(crew: Crew, email: str, role: str = "developer") -> str:
    """Invite somebody on the page, and return the link's path in the mail."""
    mail.outbox.clear()
    crew.browser(Role.ADMIN).post(crew.page("team/invitations/"), {"email": email, "role": role})
    (sent,) = mail.outbox
    assert sent.to == [email.strip().lower()]
    found = LINK.search(str(sent.body))
    assert found
    return found[0]


def test_an_invitation_is_mailed_listed_and_accepted(acme: Crew, bob: User) -> None:
    confirm(bob)
    link = invite(acme, " Bob@Example.com")
    listed = acme.browser(Role.OWNER).get(acme.page("team/invitations/")).content.decode()
    page = signed_in(bob).get(link).content.decode()
    answer = signed_in(bob).post(link)

    assert "bob@example.com" in listed
    assert "Acme" in page
    assert answer["Location"] == acme.page()
    assert Membership.objects.get(team=acme.team, user=bob).role == Role.DEVELOPER
    assert {notice.user for notice in Notice.objects.filter(kind="team_joined")} == {
        acme.person(Role.OWNER),
        acme.person(Role.ADMIN),
    }


def test_who_is_not_logged_in_is_led_to_it_and_told_nothing(acme: Crew) -> None:
    link = invite(acme, "new@example.com")

    page = Client().get(link).content.decode()

    assert f"/accounts/signup/?next={link}" in page
    assert f"/accounts/login/?next={link}" in page
    for secret in ("Acme", "new@example.com", str(acme.person(Role.ADMIN))):
        assert secret not in page
    assert Client().post(link).status_code == 200
    assert Membership.objects.filter(team=acme.team).count() == 4


def test_another_address_sees_nothing_and_cannot_join(acme: Crew, bob: User) -> None:
    link = invite(acme, "new@example.com")

    seen = signed_in(bob).get(link)
    signed_in(bob).post(link)

    assert seen.status_code == 404
    assert "Acme" not in seen.content.decode()
    assert "log out" in seen.content.decode()
    assert not Membership.objects.filter(team=acme.team, user=bob).exists()


def test_sending_again_ends_the_first_link(acme: Crew, bob: User) -> None:
    first = invite(acme, bob.email)
    mail.outbox.clear()
    page = acme.page(f"team/invitations/{Invitation.objects.get(accepted_at=None).pk}/resend/")

    acme.browser(Role.ADMIN).post(page)

    second = LINK.search(str(mail.outbox[0].body))
    assert second
    assert second[0] != first
    assert signed_in(bob).get(first).status_code == 404
    assert signed_in(bob).get(second[0]).status_code == 200


def test_a_withdrawn_link_is_of_no_use(acme: Crew, bob: User) -> None:
    link = invite(acme, bob.email)
    page = acme.page(f"team/invitations/{Invitation.objects.get(accepted_at=None).pk}/revoke/")

    for _ in range(2):
        acme.browser(Role.ADMIN).post(page)
    signed_in(bob).post(link)

    assert signed_in(bob).get(link).status_code == 404
    assert not Membership.objects.filter(team=acme.team, user=bob).exists()


@pytest.mark.parametrize(
    ("email", "role"),
    [("nobody", "developer"), ("", "developer"), ("a@b.example", "king"), ("a@b.example", "owner")],
)
def test_an_invitation_that_makes_no_sense_is_refused(acme: Crew, email: str, role: str) -> None:
    mail.outbox.clear()

    answer = acme.browser(Role.ADMIN).post(
        acme.page("team/invitations/"), {"email": email, "role": role}
    )

    assert answer.status_code == 400
    assert mail.outbox == []


def test_who_is_in_the_team_is_not_invited_again(acme: Crew) -> None:
    mail.outbox.clear()

    answer = acme.browser(Role.ADMIN).post(
        acme.page("team/invitations/"),
        {"email": acme.person(Role.BILLING).email, "role": "admin"},
        follow=True,
    )

    assert "in the team already" in answer.content.decode()
    assert mail.outbox == []


def test_an_address_is_shown_as_it_is_and_never_as_markup(acme: Crew) -> None:
    answer = acme.browser(Role.ADMIN).post(
        acme.page("team/invitations/"),
        {"email": '"<script>alert(1)</script>"@example.com', "role": "developer"},
        follow=True,
    )

    assert "<script>alert(1)" not in answer.content.decode()
