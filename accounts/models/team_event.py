"""What happened in a team, for its admins to read."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.team import Invitation, Team
from accounts.models.user import User


class TeamEvent(models.Model):
    """One deed of a member, or of staff. A trigger refuses UPDATE and DELETE.

    So it names people, and who was invited, by their rows, which can be overwritten when they
    leave: neither `subject` nor `before` and `after` may name a person.
    """

    class Action(models.TextChoices):
        TEAM_FOUNDED = "team_founded", _("founded the team")
        TEAM_RENAMED = "team_renamed", _("renamed the team")
        TEAM_CLOSED = "team_closed", _("closed the team")
        # What it says stays out of the trail: it may be a person's home.
        COMPANY_CHANGED = "company_changed", _("changed the company and address")
        MEMBER_INVITED = "member_invited", _("invited")
        INVITATION_REVOKED = "invitation_revoked", _("withdrew the invitation of")
        MEMBER_JOINED = "member_joined", _("joined")
        MEMBER_LEFT = "member_left", _("left")
        MEMBER_REMOVED = "member_removed", _("removed")
        ROLE_CHANGED = "role_changed", _("changed the role of")
        CAPS_CHANGED = "caps_changed", _("changed the caps of")
        OWNERSHIP_HANDED_OVER = "ownership_handed_over", _("handed ownership over to")
        KEY_MADE = "key_made", _("made the API key")
        KEY_CHANGED = "key_changed", _("changed the API key")
        KEY_ROTATED = "key_rotated", _("rotated the API key")
        KEY_PAUSED = "key_paused", _("paused the API key")
        KEY_RESUMED = "key_resumed", _("resumed the API key")
        KEY_REVOKED = "key_revoked", _("revoked the API key")
        BOUGHT = "bought", _("bought")
        REFUNDED = "refunded", _("asked for a refund of")
        REDEEMED = "redeemed", _("redeemed the code")
        TOP_UP_AGREED = "top_up_agreed", _("agreed to automatic top-up with")
        TOP_UP_ENDED = "top_up_ended", _("switched automatic top-up off")
        WEBHOOK_MADE = "webhook_made", _("added a webhook to")
        WEBHOOK_CHANGED = "webhook_changed", _("changed the webhook to")
        WEBHOOK_ROTATED = "webhook_rotated", _("renewed the secret of the webhook to")
        WEBHOOK_REMOVED = "webhook_removed", _("removed the webhook to")

    team = models.ForeignKey(Team, models.PROTECT, related_name="events")
    # NULL: nobody of the team, such as a sweep.
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=24, choices=Action)
    member = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    invitation = models.ForeignKey(Invitation, models.PROTECT, null=True, related_name="+")
    subject = models.CharField(max_length=120, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            # The team's page lists its events, newest first.
            models.Index(fields=["team", "-id"], name="events_of_a_team"),
            # The desk limits its list to dates.
            models.Index(fields=["at"], name="team_events_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.actor or 'nobody'} {self.get_action_display()} {self.subject}".strip()
