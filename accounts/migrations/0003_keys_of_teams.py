"""An API key belongs to a team; who made it is a person."""

import django.db.models.deletion
from django.db import migrations, models

PROTECT = django.db.models.deletion.PROTECT

# Pending checks of foreign keys would keep the table from being altered.
FILL = """
UPDATE accounts_apikey k SET team_id = t.id FROM accounts_team t WHERE t.person_id = k.user_id;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_teams")]

    operations = [
        migrations.AddField(
            "apikey",
            "team",
            models.ForeignKey(
                null=True, on_delete=PROTECT, related_name="api_keys", to="accounts.team"
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AlterField(
            "apikey",
            "team",
            models.ForeignKey(on_delete=PROTECT, related_name="api_keys", to="accounts.team"),
        ),
        migrations.RenameField("apikey", "user", "created_by"),
        migrations.AddField(
            "apikey", "is_left_to_team", models.BooleanField(default=False, editable=False)
        ),
    ]
