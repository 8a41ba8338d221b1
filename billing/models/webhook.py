"""Webhooks: addresses of a team's that are sent what happens, and what was sent to each."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Team, User
from billing.models.notice import DEFAULT_LOW_BALANCE_CREDITS


class Webhook(models.Model):
    """An address that is sent what happens in a team, of the kinds that it wants.

    Its secrets are kept encrypted, because each delivery is signed with them.
    """

    class Form(models.TextChoices):
        JSON = "json", _("Signed JSON, for a program")
        SLACK = "slack", _("Slack message")

    class OffReason(models.TextChoices):
        MEMBER = "member", _("Switched off by a member")
        FAILING = "failing", _("Switched off because it failed for days")
        GONE = "gone", _("Switched off because it answered 410 Gone")

    team = models.ForeignKey(Team, models.PROTECT, related_name="webhooks")
    # In whose language and time zone it is written to.
    made_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    url = models.URLField(max_length=500)
    form = models.CharField(max_length=5, choices=Form, default=Form.JSON)
    kinds = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    low_balance_credits = models.BigIntegerField(default=DEFAULT_LOW_BALANCE_CREDITS)
    # The ledger entry that armed the low balance, as in NotificationSettings.
    armed_by = models.ForeignKey(
        "billing.LedgerEntry", models.PROTECT, null=True, editable=False, related_name="+"
    )
    encrypted_secret = models.BinaryField()
    # The secret before, with which deliveries are signed as well until it ends.
    encrypted_previous = models.BinaryField(null=True)
    previous_expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    # Since when no delivery arrived; NULL while the last one did.
    failing_since = models.DateTimeField(null=True)
    off_at = models.DateTimeField(null=True)
    off_reason = models.CharField(max_length=7, choices=OffReason, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(low_balance_credits__gt=0), name="webhook_low_balance_is_above_0"
            ),
            models.CheckConstraint(
                condition=Q(off_at=None, off_reason="")
                | Q(off_at__isnull=False) & ~Q(off_reason=""),
                name="webhook_is_off_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(encrypted_previous=None, previous_expires_at=None)
                | Q(encrypted_previous__isnull=False, previous_expires_at__isnull=False),
                name="webhook_previous_secret_ends",
            ),
        ]
        indexes = [
            # The sweep compares the balances of those that are armed.
            models.Index(
                fields=["team"],
                condition=Q(armed_by__isnull=False, off_at=None),
                name="webhook_low_balance_is_armed",
            ),
        ]

    def __str__(self) -> str:
        return f"Webhook {self.pk} of {self.team}"

    @property
    def host(self) -> str:
        """Return where it leads, without what may be a secret: a path, a query."""
        return self.url.partition("://")[2].partition("/")[0].partition("?")[0]


class WebhookDelivery(models.Model):
    """One thing that a webhook is sent, written down in the transaction that caused it.

    Its kind and reference name the cause, so that a repeated sweep sends nothing twice. It is sent
    until it is taken (2xx) or given up.
    """

    class Failure(models.TextChoices):
        NAME = "name", _("The name of the address was not found")
        INNER = "inner", _("The name leads into a network, not to the internet")
        ADDRESS = "address", _("Nothing may be sent to this address")
        REFUSED = "refused", _("The connection was refused")
        UNREACHABLE = "unreachable", _("The machine can't be reached")
        TLS = "tls", _("The certificate or the encryption was not accepted")
        TIMEOUT = "timeout", _("No answer in time")
        BROKEN = "broken", _("The connection broke before there was an answer")
        NO_HTTP = "no_http", _("The answer was not HTTP")
        SECRET = "secret", _("The secret can't be read any more: renew it")
        OTHER = "other", _("It could not be sent")

    webhook = models.ForeignKey(Webhook, models.CASCADE, db_index=False, related_name="deliveries")
    # The same for every attempt: by it a program knows what it has had before.
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=20)
    reference = models.CharField(max_length=160)
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True)
    # Set when the retries are over: a person may send it again.
    given_up_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    # Of the last attempt. Without a status, there was no answer.
    tried_at = models.DateTimeField(null=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    # Why there was none. Empty in rows that an earlier release wrote, which have the words alone.
    failure = models.CharField(max_length=11, choices=Failure, blank=True, db_default="")
    # The system's own words for it, in English.
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "kind", "reference"], name="webhook_is_sent_a_cause_once"
            ),
            models.CheckConstraint(
                condition=Q(delivered_at=None) | Q(given_up_at=None),
                name="delivery_is_not_taken_and_given_up",
            ),
            models.CheckConstraint(
                condition=Q(delivered_at=None) | Q(delivered_at__gte=F("created_at")),
                name="delivery_is_taken_after_its_cause",
            ),
        ]
        indexes = [
            # The sweep takes what is due.
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(delivered_at=None, given_up_at=None),
                name="deliveries_to_send",
            ),
            models.Index(fields=["webhook", "-id"], name="deliveries_of_a_webhook"),
            # Old ones are deleted.
            models.Index(fields=["created_at"], name="deliveries_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"

    @property
    def message_id(self) -> str:
        """Return the id that its receiver sees."""
        return f"msg_{self.public_id.hex}"
