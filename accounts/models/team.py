"""Teams: who owns a wallet, its keys and its orders; their members; who is invited."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Collate, Upper
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.user import User


class Role(models.TextChoices):
    """What a member is. `accounts/teams/roles.py` says what each may see and do."""

    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    DEVELOPER = "developer", _("Developer")
    BILLING = "billing", _("Billing")


class Team(models.Model):
    """Who owns a wallet. Everybody has a team of their own, of one person unless they invite.

    An open team has at least one owner: a trigger looks when a transaction commits.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=60, blank=True)
    # Whose own team it is. NULL for one that was founded, or whose person has left it.
    person = models.OneToOneField(User, models.PROTECT, null=True, related_name="own_team")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(person__isnull=False) | ~Q(name=""), name="team_has_a_name"
            ),
        ]
        indexes = [
            # Staff look a team up by how its name begins, in any case.
            models.Index(
                Collate(Upper("name"), "C"),
                condition=~Q(name=""),
                name="teams_by_name",
            ),
            # The desk limits its list to dates.
            models.Index(fields=["created_at"], name="teams_by_time"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.person)

    @property
    def is_personal(self) -> bool:
        """Tell whether it is somebody's own team."""
        return self.person_id is not None


class Membership(models.Model):
    """A person in a team."""

    team = models.ForeignKey(Team, models.PROTECT, related_name="memberships")
    user = models.ForeignKey(User, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=9, choices=Role)
    # The most that all keys made by this member may spend.
    lifetime_cap_credits = models.BigIntegerField(null=True, blank=True)
    monthly_cap_credits = models.BigIntegerField(null=True, blank=True)
    joined_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["joined_at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="member_is_in_a_team_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="member_has_a_role"),
            models.CheckConstraint(
                condition=(Q(lifetime_cap_credits=None) | Q(lifetime_cap_credits__gte=0))
                & (Q(monthly_cap_credits=None) | Q(monthly_cap_credits__gte=0)),
                name="member_caps_are_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_role_display()} of {self.team}"


class Invitation(models.Model):
    """A person who was asked to join a team by mail. Only the digest of the link is kept."""

    team = models.ForeignKey(Team, models.PROTECT, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=9, choices=Role)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_has_a_role"),
            models.CheckConstraint(
                condition=Q(accepted_at=None, accepted_by=None)
                | Q(accepted_at__isnull=False, accepted_by__isnull=False, revoked_at=None),
                name="invitation_is_accepted_by_somebody",
            ),
            # A second invitation of the same address takes the place of the first.
            models.UniqueConstraint(
                fields=["team", "email"],
                condition=Q(accepted_at=None, revoked_at=None),
                name="address_is_invited_once",
            ),
        ]

    def __str__(self) -> str:
        return f"Invitation of {self.email} to {self.team}"
