"""A column and an index for the mail domain of a welcome, which was looked for at the end of texts."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

FILL = """
UPDATE billing_welcomecredit SET domain = split_part(address, '@', -1)
WHERE domain = '' AND address LIKE '%@%'
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0012_leaving_and_welcome_by_domain")]

    operations = [
        migrations.AddField(
            "welcomecredit",
            "domain",
            # Processes of the version before write rows without it.
            models.CharField(db_default="", help_text="Of the address.", max_length=254),
        ),
        migrations.AlterField(
            "welcomecredit",
            "network",
            models.CharField(help_text="The /24 or /48 of the IP address.", max_length=64),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        AddIndexConcurrently(
            "welcomecredit",
            models.Index(
                models.F("domain"),
                models.OrderBy(models.F("created_at"), descending=True),
                condition=models.Q(("refusal", "")),
                name="welcomed_domains",
            ),
        ),
    ]
