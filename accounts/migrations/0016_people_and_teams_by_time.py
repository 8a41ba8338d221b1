"""Indexes for the dates above the desk's lists, built while people sign up."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0015_webhooks")]
    operations = [
        AddIndexConcurrently(
            "user", models.Index(fields=["date_joined"], name="people_by_time")
        ),
        AddIndexConcurrently(
            "team", models.Index(fields=["created_at"], name="teams_by_time")
        ),
        AddIndexConcurrently("teamevent", models.Index(fields=["at"], name="team_events_by_time")),
    ]
