"""Indexes for the desk's filters, built while bookings go on; those that others replace go."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

PROTECT = django.db.models.deletion.PROTECT
Q = models.Q


def without_index(model, field, to, related_name):
    key = models.ForeignKey(
        to=to, on_delete=PROTECT, db_index=False, related_name=related_name
    )
    return migrations.AlterField(model, field, key)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0010_key_write_offs")]
    operations = [
        AddIndexConcurrently(
            "usagerecord",
            models.Index(fields=["wallet", "model_name", "-id"], name="usage_of_a_wallet_by_model"),
        ),
        AddIndexConcurrently(
            "usagerecord", models.Index(fields=["model_name", "-id"], name="usage_of_a_model")
        ),
        AddIndexConcurrently(
            "usagerecord",
            models.Index(
                fields=["outcome", "-id"],
                condition=Q(("outcome", "completed"), _negated=True),
                name="usage_that_is_not_completed",
            ),
        ),
        AddIndexConcurrently(
            "usagerecord",
            models.Index(
                fields=["source", "-id"],
                condition=Q(("source", "reported"), _negated=True),
                name="usage_that_is_not_reported",
            ),
        ),
        without_index("usagerecord", "wallet", "billing.wallet", "usage_records"),
        without_index("usagerecord", "api_key", "accounts.apikey", "usage_records"),
        without_index("usagerecord", "price", "billing.modelprice", "+"),
        without_index("ledgerentry", "wallet", "billing.wallet", "entries"),
    ]
