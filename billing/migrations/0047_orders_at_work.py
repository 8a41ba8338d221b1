"""The overview finds a team's orders at work by an index: it read all that the team ever made."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0046_orders_of_promotions")]

    operations = [
        AddIndexConcurrently(
            "order",
            models.Index(
                fields=["team", "-id"],
                condition=models.Q(("status__in", ["pending", "review"])),
                name="orders_at_work",
            ),
        ),
    ]
