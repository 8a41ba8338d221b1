"""Indexes for the dates above the desk's lists: each read its whole table for the first and last."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0047_orders_at_work")]

    operations = [
        AddIndexConcurrently("order", models.Index(fields=["created_at"], name="orders_by_time")),
        AddIndexConcurrently("notice", models.Index(fields=["created_at"], name="notices_by_time")),
        AddIndexConcurrently("signin", models.Index(fields=["last_at"], name="sign_ins_by_time")),
        AddIndexConcurrently(
            "welcomecredit", models.Index(fields=["created_at"], name="welcomes_by_time")
        ),
    ]
