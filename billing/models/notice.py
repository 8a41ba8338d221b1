"""Mail to customers: the notices, and what each customer wants to be notified of."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Team

# A customer's threshold until it is changed.
DEFAULT_LOW_BALANCE_CREDITS = 100_000


class Notice(models.Model):
    """One mail, written down in the transaction that caused it and sent by a sweep.

    Its kind and reference name the cause: notifying of the same cause again finds the first row.
    The facts are what the templates in `templates/mail/` get beside the customer.
    """

    class Kind(models.TextChoices):
        PURCHASE = "purchase", _("receipt")
        REFUND = "refund", _("refund")
        DISPUTE = "dispute", _("dispute")
        LOW_BALANCE = "low_balance", _("low balance")
        LOT_EXPIRING = "lot_expiring", _("expiring lot")
        NEW_KEY = "new_key", _("new key")
        KEY_ROTATED = "key_rotated", _("rotated key")
        KEY_REVOKED = "key_revoked", _("revoked key")
        SPEND_SPIKE = "spend_spike", _("leap in spending")
        NEW_SIGN_IN = "new_sign_in", _("new sign-in")
        PASSWORD_CHANGED = "password_changed", _("changed password")
        PASSWORD_RESET = "password_reset", _("reset password")
        PASSWORD_LINK = "password_link", _("link to a new password")
        NO_ACCOUNT = "no_account", _("no account with this address")
        ACCOUNT_DELETED = "account_deleted", _("deleted account")
        SECOND_FACTOR = "second_factor", _("changed second step of logging in")
        ADDRESS_ASKED = "address_asked", _("change of address asked for")
        ADDRESS_CHANGED = "address_changed", _("changed address")
        TOP_UP_SUCCEEDED = "top_up_succeeded", _("auto top-up succeeded")
        TOP_UP_DECLINED = "top_up_declined", _("auto top-up declined")
        TOP_UP_ACTION = "top_up_action", _("auto top-up needs authentication")
        TOP_UP_OFF = "top_up_off", _("auto top-up switched off")
        TEAM_JOINED = "team_joined", _("new member of a team")
        TEAM_ROLE_CHANGED = "team_role_changed", _("changed role in a team")
        TEAM_HANDED_OVER = "team_handed_over", _("team handed over")
        TEAM_REMOVED = "team_removed", _("removed from a team")
        TEAM_CLOSED = "team_closed", _("closed team")
        APPROVAL_ASKED = "approval_asked", _("deed to be approved")
        MONTHLY_SUMMARY = "monthly_summary", _("monthly summary")
        WEBHOOK_OFF = "webhook_off", _("webhook switched off")
        EXPORT_READY = "export_ready", _("export that is ready")
        STATUS_LINK = "status_link", _("link that confirms a subscription to the status")
        INCIDENT = "incident", _("incident")

    # NULL only for an address that has no account, or no more, or that follows the status.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="notices"
    )
    # Whose matter it is, for the addresses in it. NULL: the person's own.
    team = models.ForeignKey(Team, models.PROTECT, null=True, db_index=False, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind)
    reference = models.CharField(max_length=120)
    address = models.EmailField(
        blank=True, help_text="Where it goes. Empty: to the customer's address when it is sent."
    )
    facts = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    sent_to = models.EmailField(blank=True)
    # Set when the retries are over: a person may send it again.
    given_up_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            # Each reader of a team's mails has a row of their own.
            models.UniqueConstraint(
                fields=["kind", "reference", "user"],
                nulls_distinct=False,
                name="notice_is_told_once",
            ),
            models.CheckConstraint(
                condition=Q(user__isnull=False)
                | Q(kind__in=["no_account", "account_deleted", "status_link", "incident"])
                & ~Q(address=""),
                name="notice_has_a_reader",
            ),
            models.CheckConstraint(
                condition=Q(sent_at=None) | Q(given_up_at=None),
                name="notice_is_not_sent_and_given_up",
            ),
        ]
        indexes = [
            # The sweep takes what is due.
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(sent_at=None, given_up_at=None),
                name="notices_to_send",
            ),
            models.Index(fields=["user", "-id"], name="notices_of_a_user"),
            models.Index(fields=["created_at"], name="notices_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.reference}"

    @property
    def recipient(self) -> str:
        """Return the mail address that it goes to."""
        return self.address or (self.user.email if self.user else "")


class NotificationSettings(models.Model):
    """What one member wants to be mailed of a team. Receipts and security mails are always sent.

    The credit that lifts the balance to the threshold arms the notice of a low balance; writing the
    notice disarms it. So there is one notice for each time that the balance falls below.
    """

    team = models.ForeignKey(Team, models.PROTECT, related_name="notification_settings")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="notification_settings"
    )
    wants_low_balance = models.BooleanField(default=True)
    low_balance_credits = models.BigIntegerField(default=DEFAULT_LOW_BALANCE_CREDITS)
    wants_lot_expiring = models.BooleanField(default=True)
    wants_top_up_succeeded = models.BooleanField(default=True)
    wants_monthly_summary = models.BooleanField(default=True, db_default=True)
    # The ledger entry that armed it; null while it is not armed.
    armed_by = models.ForeignKey(
        "billing.LedgerEntry", models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        verbose_name_plural = "notification settings"
        constraints = [
            models.UniqueConstraint(
                fields=["team", "user"], name="notification_settings_are_one_row"
            ),
            models.CheckConstraint(
                condition=Q(low_balance_credits__gt=0), name="low_balance_is_above_0"
            ),
        ]
        indexes = [
            # The sweep compares the balances of those that are armed.
            models.Index(
                fields=["team"],
                condition=Q(armed_by__isnull=False, wants_low_balance=True),
                name="low_balance_is_armed",
            ),
        ]

    def __str__(self) -> str:
        return f"Notification settings of {self.user}"


class SignIn(models.Model):
    """A browser and a network that a customer signed in from; a new one causes a notice."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="sign_ins")
    # The SHA-256 of the cookie that this browser keeps.
    device_digest = models.CharField(max_length=64)
    device_name = models.CharField(max_length=80, help_text="Such as Firefox on Linux.")
    network = models.CharField(max_length=60, help_text="The /24 or /48 of the address.")
    first_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "device_digest", "network"], name="sign_in_is_known_once"
            ),
            models.CheckConstraint(
                condition=Q(last_at__gte=F("first_at")), name="sign_in_ends_after_its_start"
            ),
        ]
        indexes = [models.Index(fields=["last_at"], name="sign_ins_by_time")]

    def __str__(self) -> str:
        return f"{self.device_name} from {self.network}"
