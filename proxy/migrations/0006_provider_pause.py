"""A provider can be paused, with the reason beside it."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("proxy", "0005_status_page")]
    operations = [
        migrations.AddField(
            "provider", "paused_at", models.DateTimeField(editable=False, null=True)
        ),
        migrations.AddField(
            "provider",
            "pause_reason",
            models.CharField(blank=True, db_default="", editable=False, max_length=200),
        ),
        migrations.AddConstraint(
            "provider",
            models.CheckConstraint(
                condition=Q(paused_at=None, pause_reason="")
                | Q(paused_at__isnull=False) & ~Q(pause_reason=""),
                name="provider_is_paused_with_a_reason",
            ),
        ),
    ]
