"""What staff and commands did, in lines that nobody changes."""

from django.db import models
from django.utils import timezone

from accounts.models.user import User


class PersonKey(models.Model):
    """The key that a person's values in the audit trail are sealed with.

    It goes with the person's account, and then nobody reads those values any more. Encrypted with
    PROVIDER_KEYS_SECRET.
    """

    user = models.OneToOneField(User, models.PROTECT, related_name="audit_key")
    encrypted_key = models.BinaryField()

    def __str__(self) -> str:
        return f"audit key of {self.user_id}"


class AuditLine(models.Model):
    """One deed of staff or of a command. A trigger refuses UPDATE and DELETE.

    Who did it, to what, from where and when can be searched. `said` is what may name a person: the
    object's name, the reason, what was before and after. It is sealed if `person` is somebody.
    """

    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    # Of a command: its name, and who ran it as the operating system knows them.
    command = models.CharField(max_length=80, blank=True)
    os_user = models.CharField("user of the system", max_length=80, blank=True)
    network = models.CharField("from", max_length=64, blank=True)
    deed = models.CharField(max_length=80)
    model = models.CharField("kind of object", max_length=80, blank=True)
    object_id = models.CharField("id of the object", max_length=64, blank=True)
    # Whom it concerns.
    person = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    said = models.JSONField()
    # What the deed gave or took: limits of a day are counted by it.
    worth_credits = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            # The desk jumps to a time.
            models.Index(fields=["at"], name="audit_lines_by_time"),
            # The limit of a day adds up what one member of staff did.
            models.Index(
                fields=["actor", "at"],
                condition=models.Q(worth_credits__isnull=False),
                name="audit_lines_of_worth",
            ),
            # The history of one object.
            models.Index(fields=["model", "object_id", "-id"], name="audit_lines_of_an_object"),
        ]

    def __str__(self) -> str:
        return f"{self.deed}, {self.at:%Y-%m-%d %H:%M:%S}"
