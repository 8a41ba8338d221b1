"""Invite people to a team by mail."""

from smtplib import SMTPException

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.urls import reverse

from accounts.models import Invitation, Membership, Role, User
from accounts.teams import invitations
from accounts.teams.addressing import addressing
from billing.notices.composing import compose_from
from billing.teams.notices import notify_joined

log = structlog.get_logger(__name__)


def invite(seat: Membership, email: str, role: Role) -> tuple[Invitation, bool]:
    """Invite an address and mail it the link. Returns the invitation, and whether it was mailed.

    The link is a secret, so it is mailed at once and kept nowhere, as a link to a new password is.
    If no mail server can be reached, inviting the address again makes a new link. Raises
    NotAllowed, NotAMember, TeamClosed, InvitationRefused.
    """
    invitation, secret = invitations.invite(seat, email, role)
    try:
        _compose(invitation, secret).send()
    except (SMTPException, OSError) as error:
        log.warning("invitation_mail_failed", invitation_id=invitation.pk, error=str(error))
        return invitation, False
    return invitation, True


@transaction.atomic
def accept(user: User, invitation: Invitation) -> Membership:
    """Join the team that a person was invited to, and mail those who manage its members.

    Raises InvitationRefused and TeamClosed.
    """
    seat = invitations.accept(user, invitation)
    notify_joined(seat)
    return seat


def _compose(invitation: Invitation, secret: str) -> EmailMultiAlternatives:
    with addressing(None, None):
        path = reverse("invitation", args=[secret])
    context = {
        "invitation": invitation,
        "invitation_url": f"{settings.SITE_URL}{path}",
        "email": invitation.email,
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
        "support_email": settings.SUPPORT_EMAIL,
    }
    headers = {"Auto-Submitted": "auto-generated"}
    return compose_from("invitation", context, to=invitation.email, headers=headers)
