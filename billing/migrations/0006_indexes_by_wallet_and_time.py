"""Indexes for long tables, built while bookings go on."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0005_roll_ups")]
    operations = [
        AddIndexConcurrently(
            "ledgerentry",
            models.Index(
                fields=["wallet"],
                condition=models.Q(("kind", "usage"), _negated=True),
                name="entries_but_usage",
            ),
        ),
        AddIndexConcurrently(
            "ledgerentry", models.Index(fields=["created_at"], name="entries_by_time")
        ),
        AddIndexConcurrently(
            "usagerecord",
            models.Index(fields=["wallet", "ended_at"], name="usage_of_a_wallet_by_time"),
        ),
        AddIndexConcurrently(
            "usagerecord", models.Index(fields=["api_key", "-id"], name="usage_of_a_key")
        ),
    ]
