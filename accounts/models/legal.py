"""Legal texts in versions, and who agreed to which."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.staff_texts import GERMAN


class LegalText(models.Model):
    """One version of a text, in Markdown. A draft is nobody's but staff's; once published, a
    version stays as it is, and the newest one counts.
    """

    class Kind(models.TextChoices):
        TERMS = "terms", _("Terms of service")
        PRIVACY = "privacy", _("Privacy policy")
        REFUNDS = "refunds", _("Refund policy")
        IMPRINT = "imprint", _("Imprint")
        SECURITY = "security", _("Security policy")

    kind = models.CharField(max_length=10, choices=Kind)
    # Counted from 1 as versions are published; NULL for a draft.
    version = models.PositiveIntegerField(null=True, editable=False)
    text = models.TextField(
        max_length=200_000, help_text="Markdown: ## headings, lists, tables, [links](https://…)."
    )
    text_de = models.TextField(
        "Text in German", max_length=200_000, blank=True, db_default="", help_text=GERMAN
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    published_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["kind", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "version"], name="legal_version_is_one_text"),
            models.CheckConstraint(
                condition=Q(version=None, published_at=None)
                | Q(version__gte=1, published_at__isnull=False),
                name="legal_text_is_a_draft_or_a_version",
            ),
        ]

    def __str__(self) -> str:
        name = self.get_kind_display()
        return f"{name}, version {self.version}" if self.version else f"{name}, draft"


class Agreement(models.Model):
    """That a person agreed to a version, when, and at which occasion."""

    class Occasion(models.TextChoices):
        SIGN_UP = "sign_up", "sign-up"
        PURCHASE = "purchase", "purchase"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, db_index=False, related_name="agreements"
    )
    text = models.ForeignKey(LegalText, models.PROTECT, related_name="agreements")
    occasion = models.CharField(max_length=10, choices=Occasion)
    # The order's public id, at a purchase.
    reference = models.CharField(max_length=40, blank=True)
    agreed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            # Also the index for reading a person's.
            models.UniqueConstraint(
                fields=["user", "text", "occasion", "reference"], name="agreement_is_kept_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.text}"
