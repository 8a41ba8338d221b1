"""Staff look a team up by how its name begins. Built while teams are made and changed."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Collate, Upper


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0008_legal_texts")]
    operations = [
        AddIndexConcurrently(
            "team",
            models.Index(
                Collate(Upper("name"), "C"),
                condition=models.Q(("name", ""), _negated=True),
                name="teams_by_name",
            ),
        ),
    ]
