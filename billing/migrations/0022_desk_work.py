"""Notes on customers; who looks after a finding, and whether staff were mailed about it."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

USER = settings.AUTH_USER_MODEL
PROTECT = django.db.models.deletion.PROTECT


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("billing", "0021_names_at_stripe"),
        migrations.swappable_dependency(USER),
    ]
    operations = [
        migrations.AddField(
            "inboxitem",
            "assigned_to",
            models.ForeignKey(null=True, on_delete=PROTECT, related_name="+", to=USER),
        ),
        migrations.AddField("inboxitem", "mailed_at", models.DateTimeField(null=True)),
        AddIndexConcurrently(
            "usagerecord",
            models.Index(
                condition=models.Q(("outcome", "completed"), _negated=True),
                fields=["wallet", "-id"],
                name="trouble_of_a_wallet",
            ),
        ),
        migrations.CreateModel(
            name="StaffNote",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("text", models.TextField(max_length=2_000)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "author",
                    models.ForeignKey(on_delete=PROTECT, related_name="+", to=USER),
                ),
                (
                    "wallet",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=PROTECT,
                        related_name="staff_notes",
                        to="billing.wallet",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [models.Index(fields=["wallet", "-id"], name="notes_on_a_customer")],
            },
        ),
    ]
