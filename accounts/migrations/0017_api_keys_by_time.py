"""An index for the dates above the list of keys, built while customers make them."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0016_people_and_teams_by_time")]
    operations = [
        AddIndexConcurrently(
            "apikey", models.Index(fields=["created_at"], name="api_keys_by_time")
        ),
    ]
