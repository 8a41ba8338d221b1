"""What staff write down about a customer, for each other."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from billing.models.wallet import Wallet


class StaffNote(models.Model):
    """A note on a customer. It is gone with the customer's account, for it may be personal."""

    wallet = models.ForeignKey(Wallet, models.PROTECT, db_index=False, related_name="staff_notes")
    text = models.TextField(max_length=2_000)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            # The customer's page shows the newest.
            models.Index(fields=["wallet", "-id"], name="notes_on_a_customer"),
        ]

    def __str__(self) -> str:
        return f"Note of {self.author}"
